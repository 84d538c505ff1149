"""Writes files as torch.save and torch.distributed.checkpoint write them, without PyTorch: classes here are pickled under PyTorch's names.

usage: torch_files.py FOLDER makes FOLDER/state.pt, deflated.pt, dcp/, expected.safetensors, and FOLDER/hostile/ with files to refuse.
"""
import collections
import enum
import io
import os
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
from safetensors.numpy import save_file


def module(name):
    made = types.ModuleType(name)
    sys.modules[name] = made
    if "." in name:
        parent, _, last = name.rpartition(".")
        if parent not in sys.modules:
            module(parent)
        setattr(sys.modules[parent], last, made)
    return made


def named(thing, place, name=None):
    """Has `thing` pickled as place.name."""
    name = name or thing.__name__
    thing.__module__, thing.__qualname__, thing.__name__ = place, name, name
    setattr(sys.modules[place], name, thing)
    return thing


for each in ["torch", "torch._utils", "torch.serialization", "torch.storage", "torch.distributed.checkpoint.metadata",
             "torch.distributed.checkpoint.filesystem", "torch._tensor"]:
    module(each)


def function(place, name):
    return named(lambda *arguments: None, place, name)


v2 = function("torch._utils", "_rebuild_tensor_v2")
v3 = function("torch._utils", "_rebuild_tensor_v3")
parameter = function("torch._utils", "_rebuild_parameter")
get_layout = function("torch.serialization", "_get_layout")
untyped = named(type("UntypedStorage", (), {}), "torch.storage")
TYPES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char", "u1": "Byte", "b1": "Bool"}
STORAGES = {key: named(type(name + "Storage", (), {}), "torch") for key, name in TYPES.items()}


class DType:
    def __init__(self, name):
        self.name = name
        self.__module__ = "torch"
        setattr(sys.modules["torch"], name, self)

    def __reduce__(self):
        return self.name


DTYPES = {"f4": DType("float32"), "u2": DType("uint16"), "f8": DType("float64")}


class Size(tuple):
    def __reduce__(self):
        return (Size, (tuple(self),))


named(Size, "torch")


class Storage:
    def __init__(self, array, kind):
        self.array, self.kind = array, kind


class Tensor:
    """A view of a storage: an array, sizes, strides and an offset in elements."""

    def __init__(self, storage, size, strides, offset=0, dtype=None, marks=None):
        self.storage, self.size, self.strides, self.offset, self.dtype = storage, size, strides, offset, dtype
        self.marks = marks

    def __reduce__(self):
        common = (self.storage, self.offset, tuple(self.size), tuple(self.strides), False, collections.OrderedDict())
        marks = (self.marks,) if self.marks else ()
        return (v3, common + (self.dtype,) + marks) if self.dtype else (v2, common + marks)


class Parameter:
    def __init__(self, data):
        self.data = data

    def __reduce__(self):
        return (parameter, (self.data, True, collections.OrderedDict()))


def whole(array):
    array = np.ascontiguousarray(array)
    kind = array.dtype.str[1:]
    strides = [s // array.itemsize for s in array.strides]
    if kind in STORAGES:
        return Tensor(Storage(array, STORAGES[kind]), array.shape, strides)
    return Tensor(Storage(array, untyped), array.shape, strides, dtype=DTYPES[kind])


def save(value, path, compression=zipfile.ZIP_STORED, folder="archive", protocol=2):
    storages = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if not isinstance(thing, Storage):
                return None
            if thing not in storages:
                storages.append(thing)
            count = thing.array.nbytes if thing.kind is untyped else thing.array.size
            return ("storage", thing.kind, str(storages.index(thing)), "cpu", count)

    text = io.BytesIO()
    Pickler(text, protocol).dump(value)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(folder + "/data.pkl", text.getvalue())
        archive.writestr(folder + "/byteorder", "little")
        for number, storage in enumerate(storages):
            archive.writestr(f"{folder}/data/{number}", storage.array.tobytes())
        archive.writestr(folder + "/version", "3\n")


def make_state(folder):
    rng = np.random.default_rng(3)
    base = rng.standard_normal((6, 8)).astype("f4")
    storage = Storage(base, STORAGES["f4"])
    state = collections.OrderedDict()
    expected = {}

    def add(name, tensor, array):
        state[name] = tensor
        expected["model." + name] = np.ascontiguousarray(array)

    add("whole", Tensor(storage, (6, 8), (8, 1)), base)
    add("tied", Tensor(storage, (6, 8), (8, 1)), base)
    add("transposed", Tensor(storage, (8, 6), (1, 8)), base.T)
    add("row", Tensor(storage, (8,), (1,), 16), base[2])
    add("column", Tensor(storage, (6,), (8,), 3), base[:, 3])
    add("broadcast", Tensor(storage, (4, 8), (0, 1), 8), np.broadcast_to(base[1], (4, 8)))
    add("parameter", Parameter(Tensor(storage, (48,), (1,))), base.ravel())
    add("scalar", whole(np.array(2.5, "f4")), np.array(2.5, "f4"))
    add("empty", whole(np.zeros((0, 3), "f4")), np.zeros((0, 3), "f4"))
    for kind in list(TYPES) + ["u2"]:
        array = rng.integers(0, 2, (3, 4)).astype(kind)
        add("type." + kind, whole(array), array)
    moment = rng.standard_normal(48).astype("f4")
    expected["optimizer.state.0.exp_avg"] = moment
    whole_state = {
        "model": state,
        "optimizer": {"state": {0: {"step": 7, "exp_avg": whole(moment)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]},
        "epoch": 3, "name": "n\u00e4me", "none": None, "nan": float("nan"), "big": -(2 ** 70), "bytes": b"\x00\xff", "set": {1},
        "dtype": DTYPES["f4"], "size": Size((2, 3)), "flag": True, "negative": -5, "path": pathlib.PurePosixPath("/a/b"),
    }
    nested = 1
    for _ in range(61):
        nested = [nested]
    whole_state["nested"] = nested
    for protocol, name, compression in [(2, "state.pt", zipfile.ZIP_STORED), (4, "deflated.pt", zipfile.ZIP_DEFLATED)]:
        save(whole_state, folder + "/" + name, compression, protocol=protocol)
    return expected


def instance(name, **attributes):
    place = "torch.distributed.checkpoint." + ("filesystem" if name == "_StorageInfo" else "metadata")
    known = getattr(sys.modules[place], name, None) or named(type(name, (), {}), place, name)
    made = known()
    made.__dict__.update(attributes)
    return made


class TensorProperties:
    """Pickled as a tuple, as PyTorch's own is."""

    def __init__(self, *state):
        self.state = state

    def __getstate__(self):
        return self.state

    def __setstate__(self, state):
        self.state = state


class Layout:
    def __reduce__(self):
        return (get_layout, ("torch.strided",))


named(TensorProperties, "torch.distributed.checkpoint.metadata")


MemoryFormat = named(enum.Enum("_MEM_FORMAT_ENCODING", ["TORCH_CONTIGUOUS_FORMAT"]), "torch.distributed.checkpoint.metadata")


def properties(dtype):
    return TensorProperties(dtype, Layout(), False, MemoryFormat.TORCH_CONTIGUOUS_FORMAT, False)


def make_distributed(folder, tensors, store_as=lambda part: whole(part), values=(("epoch", 3),)):
    """tensors: name -> (array, dtype, list of (offset, extent))."""
    os.makedirs(folder)
    files = collections.defaultdict(io.BytesIO)
    storage_data, described = {}, {}

    def store(name, offset, value, rank):
        text = io.BytesIO()
        save(value, text)
        file = f"__{rank}_0.distcp"
        start = files[file].tell()
        files[file].write(text.getvalue())
        index = instance("MetadataIndex", fqn=name, offset=offset, index=None)
        storage_data[index] = instance("_StorageInfo", relative_path=file, offset=start, length=len(text.getvalue()))

    for name, (array, dtype, pieces) in tensors.items():
        chunks = []
        for rank, (offset, extent) in enumerate(pieces):
            part = array[tuple(slice(o, o + e) for o, e in zip(offset, extent))]
            store(name, Size(offset), store_as(part), rank)
            chunks.append(instance("ChunkStorageMetadata", offsets=Size(offset), sizes=Size(extent)))
        described[name] = instance("TensorStorageMetadata", properties=properties(dtype), size=Size(array.shape), chunks=chunks)
    for name, value in values:
        store(name, None, value, 0)
        described[name] = instance("BytesStorageMetadata")
    root = instance("Metadata", state_dict_metadata=described, planner_data={"epoch": ("epoch",)}, storage_data=storage_data,
                    storage_meta=instance("StorageMeta", checkpoint_id=pathlib.PurePosixPath("/a"), save_id="x", load_id=None))
    for name, text in files.items():
        with open(folder + "/" + name, "wb") as file:
            file.write(text.getvalue())
    with open(folder + "/.metadata", "wb") as file:
        pickle.dump(root, file)
    return root


def pickled_tensor(key, count=4):
    """A tensor of so many floats, all of the storage of that name; without its head and end, to stand in a container."""
    key = key.encode()
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX" + struct.pack("<I", len(key)) + key
            + b"X\x03\x00\x00\x00cpuK" + bytes([count]) + b"tQK\x00K" + bytes([count])
            + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR")


def make_composed(folder):
    """Two storages whose names read the same, and differ in their bytes."""
    keys = {"a": "\u00e9", "b": "e\u0301"}
    members = b"".join(b"X\x01\x00\x00\x00" + name.encode() + pickled_tensor(key) for name, key in keys.items())
    arrays = {name: np.full(4, ord(name), "f4") for name in keys}
    with zipfile.ZipFile(folder + "/composed.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}(" + members + b"u.")
        for name, key in keys.items():
            archive.writestr("archive/data/" + key, arrays[name].tobytes())
    save_file(arrays, folder + "/expected-composed.safetensors")


def make_admitted(folder):
    """What PyTorch admits with weights_only=True besides; and numpy's values, as in the state of its random generator."""
    with_state = function("torch._utils", "_rebuild_parameter_with_state")
    from_type = function("torch._tensor", "_rebuild_from_type_v2")
    qtensor = function("torch._utils", "_rebuild_qtensor")
    sparse = function("torch._utils", "_rebuild_sparse_tensor")
    meta = function("torch._utils", "_rebuild_meta_tensor_no_storage")
    old = function("torch._utils", "_rebuild_tensor")
    tensor_class = named(type("Tensor", (), {}), "torch")
    quantized = named(type("QInt8Storage", (), {}), "torch")
    complex_storage = named(type("ComplexFloatStorage", (), {}), "torch")

    class Call:
        def __init__(self, function, *arguments):
            self.what = (function, arguments)

        def __reduce__(self):
            return self.what

    data, small = np.arange(6, dtype="f4").reshape(2, 3), np.arange(4, dtype="i1")
    waves = (np.arange(3) + 1j).astype("c8")
    storage = Storage(data, STORAGES["f4"])
    plain = lambda: Tensor(storage, (2, 3), (3, 1))
    hooks = collections.OrderedDict()
    state = {
        "parameter": Call(with_state, plain(), True, hooks, {"tensor_model_parallel": True, "partition_dim": 0}),
        "tensor": Call(from_type, v2, tensor_class, (storage, 0, (2, 3), (3, 1), False, hooks), {"tag": "x"}),
        "old": Call(old, storage, 0, (2, 3), (3, 1)),
        "quantized": Call(qtensor, Storage(small, quantized), 0, (4,), (1,), (DType("per_tensor_affine"), 0.5, 3), False, hooks),
        "sparse": Call(sparse, Layout(), (whole(np.arange(4).reshape(2, 2)), plain(), Size((5, 6)), True)),
        "meta": Call(meta, DTYPES["f4"], (7, 8), (8, 1), False),
        "complex": Tensor(Storage(waves, complex_storage), (3,), (1,)),
        "conjugate": Tensor(Storage(waves, complex_storage), (3,), (1,), marks={"conj": True, "neg": False}),
        "both": Tensor(Storage(waves, complex_storage), (3,), (1,), marks={"conj": True, "neg": True}),
        "negative": Tensor(storage, (3, 2), (1, 3), marks={"neg": True}),
        "count": collections.Counter({"a": 2, 5: 1}), "default": collections.defaultdict(list, {"k": [1]}), "array": bytearray(b"ab\xff"),
        "number": 1 - 2j, "scalar": np.float64(2.5), "integer": np.int16(-3), "rng": np.arange(3, dtype="u4"),
    }
    save(state, folder + "/admitted.pt")
    save_file({"parameter": data, "tensor": data, "old": data, "quantized": small, "sparse.indices": np.arange(4).reshape(2, 2),
               "sparse.values": data, "negative": -np.ascontiguousarray(data.T),
               "complex": waves.view("f4").reshape(3, 2, 1), "conjugate": waves.conj().view("f4").reshape(3, 2, 1),
               "both": (-waves.conj()).view("f4").reshape(3, 2, 1)}, folder + "/expected-admitted.safetensors")
    text = open(folder + "/expected-admitted.safetensors", "rb").read()
    text = text.replace(b'"dtype":"F32","shape":[3,2,1]', b'"dtype":"C64","shape":[3]    ')
    open(folder + "/expected-admitted.safetensors", "wb").write(text)


def make_storages(folder):
    """Storages that belong to no tensor, with a type and without, one of them shared."""
    array = np.arange(6, dtype="f4")
    typed, bare = Storage(array, STORAGES["f4"]), Storage(np.arange(5, dtype="u1"), untyped)
    save({"typed": typed, "bare": bare, "tensor": Tensor(typed, (2, 3), (3, 1))}, folder + "/storages.pt")
    save_file({"typed": array, "bare": np.arange(5, dtype="u1"), "tensor": array.reshape(2, 3)}, folder + "/expected-storages.safetensors")


def make_legacy(folder):
    """A file as torch.save wrote it before PyTorch 1.6, with one storage that is a part of another."""
    base, other = np.arange(12, dtype="f4"), np.arange(5, dtype="i8")
    keys = {"0": base, "1": other}

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if not isinstance(thing, Storage):
                return None
            part = ("0-view", 4, 3) if thing.array is None else None
            key = "1" if thing.array is other else "0"
            return ("storage", thing.kind, key, "cpu", len(keys[key]), part)

    state = collections.OrderedDict(
        w=Tensor(Storage(base, STORAGES["f4"]), (3, 4), (4, 1)), t=Tensor(Storage(base, STORAGES["f4"]), (4, 3), (1, 4)),
        n=Tensor(Storage(other, STORAGES["i8"]), (5,), (1,)), part=Tensor(Storage(None, STORAGES["f4"]), (3,), (1,)))
    with open(folder + "/legacy.pt", "wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
            pickle.dump(value, file, 2)
        Pickler(file, 2).dump({"model": state, "epoch": 3})
        pickle.dump(["0", "1"], file, 2)
        for array in keys.values():
            file.write(struct.pack("<q", array.size) + array.tobytes())
    with open(folder + "/legacy.pt", "rb") as file:
        text = file.read()
    with open(folder + "/legacy-cut.pt", "wb") as file:
        file.write(text[:-1])
    save_file({"model.w": base.reshape(3, 4), "model.t": np.ascontiguousarray(base.reshape(3, 4).T), "model.n": other,
               "model.part": base[4:7]}, folder + "/expected-legacy.safetensors")


def make_foreign(folder):
    """Tensors beside things that only their own program can make."""
    import argparse
    import fractions

    tensor = whole(np.arange(4, dtype="f4"))
    save({"args": argparse.Namespace(layers=2), "model": {"w": tensor, "extra": io.BytesIO(b"x")}, "list": [fractions.Fraction(1, 2), tensor, 7],
          fractions.Fraction(1, 3): 1, "kind": argparse.Namespace, "objects": np.array([{}], dtype=object)}, folder + "/foreign.pt")
    # As layers of 8-bit floats keep their state.
    make_distributed(folder + "/dcp-foreign", {"w": (np.arange(4, dtype="f4"), DTYPES["f4"], [((0,), (4,))])},
                     values=[("epoch", 3), ("w_extra_state", io.BytesIO(b"x"))])
    save_file({"model.w": np.arange(4, dtype="f4"), "list.1": np.arange(4, dtype="f4")}, folder + "/expected-foreign.safetensors")


def make_strided_pieces(folder):
    """A distributed tensor, the pieces of which are stored by columns, and its memory formats as Python 3.11 pickles them."""
    array = np.arange(24, dtype="f4").reshape(4, 6)

    make_distributed(folder + "/dcp-strided", {
        "w": (np.asfortranarray(array), DTYPES["f4"], [((0, 0), (2, 6)), ((2, 0), (1, 6)), ((3, 0), (1, 6))]),
        "across": (np.asfortranarray(array), DTYPES["f4"], [((0, 0), (4, 2)), ((0, 2), (4, 4))]),
    }, store_as=lambda part: Tensor(Storage(np.asfortranarray(part).T.copy(), STORAGES["f4"]), part.shape, (1, part.shape[0])))
    save_file({"w": array, "across": array}, folder + "/expected-strided.safetensors")


def make_hostile(folder):
    os.makedirs(folder)

    class Call:
        def __init__(self, function, *arguments):
            self.what = (function, arguments)

        def __reduce__(self):
            return self.what

    def raw(name, text, entries=(), compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(f"{folder}/{name}.pt", "w", compression) as archive:
            archive.writestr("archive/data.pkl", text)
            for entry, content in entries:
                archive.writestr(entry, content)

    save({"w": Call(os.system, "touch /tmp/ckpt-was-here")}, folder + "/system.pt")
    save({"w": Call(eval, "1")}, folder + "/eval.pt", protocol=4)
    save({"w": Call(getattr, "a", "b")}, folder + "/getattr.pt")
    raw("instance", b"(S'x'\nios\nsystem\n.")
    raw("inst", b"\x80\x02(ios\nsystem\n.")
    raw("object", b"\x80\x02(o.")
    raw("extension", b"\x80\x02\x82\x01.")
    raw("names", b"\x80\x02cos\x1b[31m\nsystem\n.")
    raw("storage-call", b"\x80\x02ctorch\nFloatStorage\n)R.")
    raw("deep", b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b".")
    raw("jagged", b"\x80\x02}X\x01\x00\x00\x00jctorch._tensor\n_rebuild_from_type_v2\n("
        b"ctorch.nested._internal.nested_tensor\nNestedTensor\nctorch.nested._internal.nested_tensor\nNestedTensor\n"
        b")}tRs.")
    raw("circle", b"\x80\x02]q\x00h\x00a.")
    raw("laughs", b"\x80\x02]q\x00" + b"0" + b"".join(
        b"](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) + b"0" for n in range(40)) + b"h\x28.")
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(("
    head = b"\x80\x02" + tensor + b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
    tail = b"\x89ccollections\nOrderedDict\n)RtR."
    data = [("archive/data/0", bytes(16))]
    # Just more than may be made if each item counts, and less if only the copies do.
    raw("items", b"\x80\x02c__builtin__\nset\nq\x00](" + b"N" * 900000 + b"e\x85q\x010](" + b"h\x00h\x01R" * 18 + b"e.",
        compression=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(folder + "/interrupted.pt", "w") as archive:
        archive.writestr("archive/data/0", bytes(16))
        archive.writestr("archive/version", "3\n")
    raw("dimensions", head + b"K\x00(" + b"K\x01" * 33 + b"t(" + b"K\x01" * 33 + b"t" + tail, data)
    raw("surrogate", b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.")
    raw("counter", b"\x80\x02ccollections\nCounter\n]\x85R.")
    raw("module", b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81.")
    raw("empty", b"")
    raw("cut", b"\x80\x02X\xff\xff\xff\x7fabc.")
    raw("integer", b"\x80\x02\x8b\xff\xff\xff\x7f.")
    raw("underflow", b"\x80\x02aaaa.")
    raw("forgotten", b"\x80\x02h\x07.")
    raw("missing-storage", head + b"K\x00K\x04\x85K\x01\x85" + tail)
    raw("short-storage", head + b"K\x00K\x04\x85K\x01\x85" + tail, [("archive/data/0", bytes(12))])
    raw("beyond", head + b"K\x01K\x04\x85K\x01\x85" + tail, data)
    raw("negative-offset", head + b"J\xff\xff\xff\xffK\x04\x85K\x01\x85" + tail, data)
    raw("negative-size", head + b"K\x00J\xff\xff\xff\xff\x85K\x01\x85" + tail, data)
    raw("huge-stride", head + b"K\x00K\x04\x85\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85" + tail, data)
    raw("huge-offset", head + b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x04\x85K\x01\x85" + tail, data)
    raw("big-endian", head + b"K\x00K\x04\x85K\x01\x85" + tail, data + [("archive/byteorder", "big")])
    raw("script", head + b"K\x00K\x04\x85K\x01\x85" + tail, data + [("archive/constants.pkl", b"")])
    raw("repeated", head + b"K\x00\x8a\x06\x00\x00\x00\x00\x00\x01\x85K\x00\x85" + tail, data)
    with open(folder + "/legacy.pt", "wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, 2)
    save({"../../x": whole(np.zeros(2, "f4")), "a\0b": whole(np.zeros(2, "f4"))}, folder + "/nul.pt")
    save({"n" * 5000: whole(np.zeros(2, "f4"))}, folder + "/long.pt")
    save({"a.b": whole(np.zeros(2, "f4")), "a": {"b": whole(np.zeros(2, "f4"))}}, folder + "/twice.pt")
    save({1: 2, "1": 3}, folder + "/keys.pt")


def make_hostile_distributed(folder):
    array = np.arange(12, dtype="f4").reshape(6, 2)
    halves = [((0, 0), (3, 2)), ((3, 0), (3, 2))]

    def broken(name, change, pieces=halves):
        root = make_distributed(f"{folder}/{name}", {"w": (array, DTYPES["f4"], pieces)})
        change(root, list(root.storage_data.items()))
        with open(f"{folder}/{name}/.metadata", "wb") as file:
            pickle.dump(root, file)

    broken("dcp-overlap", lambda root, data: None, [((0, 0), (4, 2)), ((2, 0), (2, 2))])
    broken("dcp-hole", lambda root, data: None, halves[:1])
    broken("dcp-outside", lambda root, data: setattr(root.state_dict_metadata["w"].chunks[0], "offsets", Size((-1, 0))))
    broken("dcp-path", lambda root, data: setattr(data[0][1], "relative_path", "../dcp-hole/__0_0.distcp"))
    broken("dcp-range", lambda root, data: setattr(data[0][1], "length", 1 << 40))
    broken("dcp-exchanged", lambda root, data: setattr(root.state_dict_metadata["w"].properties, "state", (DTYPES["f8"],)))
    broken("dcp-transformed", lambda root, data: setattr(data[0][1], "transform_descriptors", ["zstd"]))
    broken("dcp-missing", lambda root, data: setattr(data[0][1], "relative_path", "none"))
    broken("dcp-planner", lambda root, data: setattr(root, "planner_data", os.system))


def make_repeating_distributed(folder):
    """Many names for the same bytes: values that are large together, and a tensor that would be inflated again and again."""

    def make(name, content, count, describe, offset=None):
        os.makedirs(f"{folder}/{name}")
        with open(f"{folder}/{name}/__0_0.distcp", "wb") as file:
            file.write(content)
        names = [f"v{number}" for number in range(count)]
        data = {instance("MetadataIndex", fqn=name, offset=offset, index=None):
                instance("_StorageInfo", relative_path="__0_0.distcp", offset=0, length=len(content)) for name in names}
        with open(f"{folder}/{name}/.metadata", "wb") as file:
            pickle.dump(instance("Metadata", state_dict_metadata={name: describe() for name in names}, planner_data=None,
                                 storage_data=data, storage_meta=None), file)

    text = io.BytesIO()
    long = 90_000_000
    with zipfile.ZipFile(text, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02X" + struct.pack("<I", long) + b"a" * long + b".")
    make("dcp-values", text.getvalue(), 3, lambda: instance("BytesStorageMetadata"))
    text, zeros = io.BytesIO(), np.zeros(1 << 22, "f4")
    save(whole(zeros), text, zipfile.ZIP_DEFLATED)
    make("dcp-again", text.getvalue(), 70, lambda: instance(
        "TensorStorageMetadata", properties=properties(DTYPES["f4"]), size=Size(zeros.shape),
        chunks=[instance("ChunkStorageMetadata", offsets=Size((0,)), sizes=Size(zeros.shape))]), Size((0,)))


def make_steps(folder):
    """Weights, and how far their training had come."""
    weight = whole(np.ones(3, "f4"))
    for name, entries in [("plain", {"step": 800, "epoch": 3}), ("trainer", {"trainer_state": {"global_step": 900}}), ("none", {"epoch": 3})]:
        save({"model": {"w": weight}, **entries}, f"{folder}/step-{name}.pt")


def main(folder):
    expected = make_state(folder)
    rng = np.random.default_rng(4)
    rows, grid = rng.standard_normal((7, 3, 2)).astype("f4"), rng.standard_normal((5, 6)).astype("f8")
    make_distributed(folder + "/dcp", {
        "layer.rows": (rows, DTYPES["f4"], [((0, 0, 0), (4, 3, 2)), ((4, 0, 0), (3, 3, 2))]),
        "layer.grid": (grid, DTYPES["f8"], [((0, 0), (2, 4)), ((0, 4), (2, 2)), ((2, 0), (3, 4)), ((2, 4), (3, 2))]),
        "layer.whole": (grid, DTYPES["f8"], [((0, 0), (5, 6))]),
    })
    save_file(expected, folder + "/expected.safetensors")
    save_file({"layer.rows": rows, "layer.grid": grid, "layer.whole": grid}, folder + "/expected-dcp.safetensors")
    make_hostile(folder + "/hostile")
    make_hostile_distributed(folder + "/hostile")
    make_repeating_distributed(folder + "/hostile")
    make_composed(folder)
    make_admitted(folder)
    make_storages(folder)
    make_legacy(folder)
    make_foreign(folder)
    make_steps(folder)
    make_strided_pieces(folder)


main(sys.argv[1])
