"""Plain values as JSON, without pickle: what JSON lacks is written as an object with the key "$"."""

from __future__ import annotations

import base64
import collections
import ctypes
import json
import math
from typing import Any, Callable, Optional

_MARK = "$"


#: Takes the path of a tensor and the tensor; returns the name under which it is kept outside the
#: value, or None to copy it into the value.
Lift = Callable[[str, Any], Optional[str]]


def encode(value: Any, name: str, lift: Optional[Lift] = None) -> bytes:
    """JSON of a value made of None, bool, numbers, text, bytes, lists, tuples, sets, dicts, and
    arrays of numpy and tensors of torch, which are copied unless `lift` takes them.

    Raises:
        TypeError: something else is inside. The message says where.
    """
    return json.dumps(_encoded(value, name, lift), allow_nan=False, separators=(",", ":")).encode()


def decode(data: bytes, lifted: Optional[Callable[[str], Any]] = None) -> Any:
    """The value of JSON that `encode` wrote.

    Args:
        lifted: returns a tensor that is kept outside, by its name.
    """
    return _decoded(json.loads(data), lifted or _unknown)


def plain(data: bytes) -> Any:
    """The value of JSON that `encode` wrote, with None in place of tensors that are kept outside."""
    return decode(data, lambda _: None)


def _unknown(name: str) -> Any:
    raise ValueError(f"the value refers to the tensor {name!r}; read it from the checkpoint")


def _marked(kind: str, **members: Any) -> dict[str, Any]:
    return {_MARK: kind, **members}


def _encoded(value: Any, path: str, lift: Optional[Lift]) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    kind = type(value)
    if kind is int:
        return value
    if kind is float:
        return value if math.isfinite(value) else _marked("float", value=repr(value))
    if kind is list:
        return [_encoded(item, f"{path}[{index}]", lift) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return _encoded_dict(value, path, lift)
    if kind.__name__ == "Size" and kind.__module__ == "torch":
        return _marked("size", items=list(value))
    if isinstance(value, tuple):
        if all(type(item) in (int, str) for item in value):
            return _marked("tuple", items=value)
        return _marked("tuple", items=[_encoded(item, f"{path}[{index}]", lift) for index, item in enumerate(value)])
    if isinstance(value, (set, frozenset)):
        items = [_encoded(item, path, lift) for item in value]
        return _marked("set" if isinstance(value, set) else "frozenset", items=sorted(items, key=lambda item: json.dumps(item, sort_keys=True)))
    if isinstance(value, collections.deque):
        return _marked("deque", items=[_encoded(item, path, lift) for item in value], length=value.maxlen)
    if isinstance(value, (bytes, bytearray)):
        return _marked("bytes" if isinstance(value, bytes) else "bytearray", data=_base64(bytes(value)))
    if kind is complex:
        return _marked("complex", value=repr(value))
    if hasattr(value, "detach") and hasattr(value, "data_ptr"):
        outside = lift(path, value) if lift else None
        return _encoded_tensor(value) if outside is None else _marked("lifted", name=outside)
    if hasattr(value, "dtype") and hasattr(value, "tobytes") and value.dtype.kind in "biufc":
        is_array = bool(getattr(value, "shape", ())) or hasattr(value, "__array_interface__") and kind.__name__ == "ndarray"
        return _marked(
            "array" if is_array else "scalar", dtype=value.dtype.str, shape=list(value.shape), data=_base64(value.tobytes()))
    raise TypeError(
        f"{path} is a {kind.__module__}.{kind.__qualname__}, which cannot be saved as a plain value. "
        "Save its state_dict(), or numbers, strings, lists and dicts")


#: Types that come back as they were. Ordered dicts have the order that every dict has.
_EXACT = (
    type(None), bool, str, int, float, list, tuple, dict, collections.OrderedDict, set, frozenset, collections.deque, bytes,
    bytearray, complex, collections.Counter)


def changed_type(value: Any) -> Optional[str]:
    """The name of a class of a value, or of a value inside it, that would come back as another; None if there is none."""
    kind = type(value)
    if isinstance(value, (str, bytes, bytearray, tuple, list, dict, set, frozenset, collections.deque)):
        if kind not in _EXACT and (kind.__module__, kind.__name__) != ("torch", "Size"):
            return f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, dict):
        inside: Any = [*value.keys(), *value.values()]
    elif isinstance(value, (tuple, list, set, frozenset, collections.deque)):
        inside = value
    else:
        return None
    return next((name for name in map(changed_type, inside) if name is not None), None)


def _encoded_dict(value: dict[Any, Any], path: str, lift: Optional[Lift]) -> Any:
    if isinstance(value, collections.Counter):
        return _marked("counter", items=[[_encoded(key, path, lift), count] for key, count in value.items()])
    if all(type(key) is str for key in value) and _MARK not in value:
        return {key: _encoded(item, f"{path}.{key}", lift) for key, item in value.items()}
    return _marked("dict", items=[[_encoded(key, path, lift), _encoded(item, f"{path}[{key!r}]", lift)] for key, item in value.items()])


def _encoded_tensor(tensor: Any) -> Any:
    plain = tensor.detach().to("cpu").resolve_conj().resolve_neg().contiguous()
    size = plain.numel() * plain.element_size()
    data = ctypes.string_at(plain.data_ptr(), size) if size else b""
    return _marked("tensor", dtype=str(plain.dtype).removeprefix("torch."), shape=list(plain.shape), data=_base64(data))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(value: Any, lifted: Callable[[str], Any]) -> Any:
    if isinstance(value, list):
        return [_decoded(item, lifted) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(_MARK)
    if kind is None:
        return {key: _decoded(item, lifted) for key, item in value.items()}
    if kind == "lifted":
        return lifted(value["name"])
    if kind == "float":
        return float(value["value"])
    if kind == "complex":
        return complex(value["value"])
    if kind in ("bytes", "bytearray"):
        return (bytes if kind == "bytes" else bytearray)(base64.b64decode(value["data"]))
    if kind == "dict":
        return {_decoded(key, lifted): _decoded(item, lifted) for key, item in value["items"]}
    if kind == "counter":
        return collections.Counter({_decoded(key, lifted): count for key, count in value["items"]})
    if kind == "tuple":
        return tuple(_decoded(item, lifted) for item in value["items"])
    if kind in ("set", "frozenset"):
        return (set if kind == "set" else frozenset)(_decoded(item, lifted) for item in value["items"])
    if kind == "size":
        import torch

        return torch.Size(value["items"])
    if kind == "deque":
        return collections.deque((_decoded(item, lifted) for item in value["items"]), value["length"])
    if kind in ("array", "scalar"):
        import numpy

        array = numpy.frombuffer(base64.b64decode(value["data"]), dtype=numpy.dtype(value["dtype"]))
        array = array.reshape(value["shape"]).copy()
        return array if kind == "array" else array[()]
    if kind == "tensor":
        import torch

        data = bytearray(base64.b64decode(value["data"]))
        dtype = getattr(torch, value["dtype"])
        flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return flat.clone().reshape(value["shape"])
    raise ValueError(f"unknown kind of value {kind!r}; use a newer version of ckpt")
