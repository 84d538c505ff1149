"""Memory of other libraries: tensors of numpy, torch and any DLPack producer."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple, Optional

from ._dtypes import BY_DLPACK, BY_NUMPY, BY_TORCH, BY_TYPE_LETTER, ElementType


class Lent(NamedTuple):
    """A tensor in memory.

    Attributes:
        address: address of the first element; 0 if there is none.
        type: type of the elements.
        shape: extents.
        strides: strides in elements; None if the tensor is row-major.
        is_writable: whether a restore may write to it.
        owner: keeps the memory alive.
        gpu: number of the GPU that has the memory, as CUDA counts; None if the CPU has it.
    """

    address: int
    type: ElementType
    shape: tuple[int, ...]
    strides: Optional[tuple[int, ...]]
    is_writable: bool
    owner: Any
    gpu: Optional[int] = None


def lent(value: Any, name: str) -> Optional[Lent]:
    """Where a value lies in memory; None if it is not a tensor.

    Raises:
        TypeError: it is a tensor that cannot be lent. The message names it.
    """
    if hasattr(value, "data_ptr") and hasattr(value, "element_size"):
        return _lent_torch(value, name)
    if hasattr(value, "__array_interface__") and hasattr(value, "dtype"):
        # A scalar of numpy is a number, which cannot change.
        return _lent_numpy(value, name) if hasattr(value, "__setitem__") else None
    if hasattr(value, "__cuda_array_interface__"):
        return _lent_cuda(value, name)
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        return _lent_dlpack(value, name)
    return None


def _lent_torch(tensor: Any, name: str) -> Lent:
    kind_of_device = tensor.device.type
    if kind_of_device not in ("cpu", "cuda"):
        raise TypeError(f"tensor {name!r} is on {tensor.device}, which cannot be lent. Copy it to the CPU first")
    gpu = tensor.device.index if kind_of_device == "cuda" else None
    if tensor.layout.__repr__() != "torch.strided":
        raise TypeError(f"tensor {name!r} has the layout {tensor.layout}; convert it to a dense tensor")
    if tensor.is_conj() or tensor.is_neg():
        raise TypeError(f"tensor {name!r} is a lazy conjugate or negative; call resolve_conj().resolve_neg()")
    kind = BY_TORCH.get(str(tensor.dtype))
    if kind is None:
        raise TypeError(f"tensor {name!r} has the type {tensor.dtype}, which cannot be saved")
    shape = tuple(tensor.shape)
    address = tensor.data_ptr()
    # A subclass that wraps another tensor, and a fake tensor, have no memory.
    if address == 0 and tensor.numel() > 0:
        raise TypeError(f"tensor {name!r} is a {type(tensor).__name__} without its own memory, which cannot be saved")
    return Lent(address, kind, shape, None if tensor.is_contiguous() else tuple(tensor.stride()), True, tensor, gpu)


def _lent_numpy(array: Any, name: str) -> Lent:
    kind = BY_NUMPY.get(array.dtype.name)
    if kind is None or not array.dtype.isnative:
        raise TypeError(f"array {name!r} has the type {array.dtype.str}, which cannot be saved")
    address, is_read_only = array.__array_interface__["data"]
    strides = None
    if not array.flags.c_contiguous:
        if any(stride % array.itemsize for stride in array.strides):
            raise TypeError(f"array {name!r} has strides that are not multiples of its element size")
        strides = tuple(stride // array.itemsize for stride in array.strides)
    return Lent(address if array.size else 0, kind, tuple(array.shape), strides, not is_read_only, array)


def _lent_cuda(array: Any, name: str) -> Lent:
    """An array of CuPy, Numba and others (CUDA Array Interface, version 2 or later)."""
    interface = array.__cuda_array_interface__
    order, letter, size = interface["typestr"][0], interface["typestr"][1], int(interface["typestr"][2:])
    kind = BY_TYPE_LETTER.get((letter, 8 * size))
    if kind is None or order == ">" or interface.get("mask") is not None:
        raise TypeError(f"array {name!r} has the type {interface['typestr']}, or a mask, and cannot be saved")
    address, is_read_only = interface["data"]
    shape, strides = tuple(interface["shape"]), interface.get("strides")
    if strides is not None:
        if any(stride % size for stride in strides):
            raise TypeError(f"array {name!r} has strides that are not multiples of its element size")
        strides = tuple(stride // size for stride in strides)
    # The interface does not say which GPU it is.
    gpu = array.__dlpack_device__()[1] if hasattr(array, "__dlpack_device__") else 0
    return Lent(address or 0, kind, shape, strides, not is_read_only, array, gpu)


def held(owner: Any) -> Any:
    """What keeps the memory of an owner: of a tensor of torch its storage, since `model.to()` and
    others give a tensor another storage and free the one it had."""
    return owner.untyped_storage() if hasattr(owner, "untyped_storage") else owner


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _DLManagedTensor(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_DLManagedTensor))
_DLManagedTensor._fields_ = [("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.argtypes, _capsule_pointer.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_new_capsule.restype = ctypes.py_object

CPU, CUDA = 1, 2


def _lent_dlpack(value: Any, name: str) -> Lent:
    device, number = value.__dlpack_device__()
    if device not in (CPU, CUDA):
        raise TypeError(f"array {name!r} is on a device that cannot be lent. Copy it to the CPU first")
    # 1 is the legacy default stream, after which it is then ordered.
    capsule = value.__dlpack__() if device == CPU else value.__dlpack__(stream=1)
    # The capsule keeps the memory; it is not consumed, so its end releases it.
    pointer = _capsule_pointer(capsule, b"dltensor")
    tensor = ctypes.cast(pointer, ctypes.POINTER(_DLManagedTensor)).contents.tensor
    kind = BY_DLPACK.get((tensor.code, tensor.bits))
    if kind is None or tensor.lanes != 1:
        raise TypeError(f"array {name!r} has an element type that cannot be saved")
    shape = tuple(tensor.shape[index] for index in range(tensor.ndim))
    strides = tuple(tensor.strides[index] for index in range(tensor.ndim)) if tensor.strides else None
    gpu = number if device == CUDA else None
    return Lent((tensor.data or 0) + tensor.byte_offset, kind, shape, strides, True, (value, capsule), gpu)


#: Exports that their consumers have not released: what each keeps alive, by address.
_exports: dict[int, Any] = {}


def _forget(managed: Any) -> None:
    _exports.pop(ctypes.addressof(managed.contents), None)


_release = _Deleter(_forget)

# For an object that is being deleted, which must get no reference.
_is_capsule = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_address_in = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))


def _discard(capsule: int) -> None:
    """Releases what a capsule is of, unless a consumer has taken it and given the capsule another name."""
    if _is_capsule(capsule, b"dltensor"):
        _exports.pop(_address_in(capsule, b"dltensor"), None)


_destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(_discard)


def dlpack_capsule(address: int, kind: ElementType, shape: tuple[int, ...], owner: Any) -> Any:
    """A DLPack capsule of row-major memory.

    Args:
        owner: keeps the memory alive until the consumer releases the capsule.
    """
    if kind.dlpack is None:
        raise TypeError(f"DLPack has no element type {kind.name}")
    managed = _DLManagedTensor()
    extents = (ctypes.c_int64 * max(len(shape), 1))(*shape)
    managed.tensor = _DLTensor(
        address, CPU, 0, len(shape), kind.dlpack, kind.bits, 1,
        ctypes.cast(extents, ctypes.POINTER(ctypes.c_int64)), None, 0)
    managed.deleter = _release
    _exports[ctypes.addressof(managed)] = (managed, extents, owner)
    return _new_capsule(ctypes.addressof(managed), b"dltensor", ctypes.cast(_destructor, ctypes.c_void_p))
