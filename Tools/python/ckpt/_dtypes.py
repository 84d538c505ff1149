"""Element types: their numbers in checkpoint.h, and their names in numpy, torch and DLPack."""

from __future__ import annotations

from typing import NamedTuple, Optional


class ElementType(NamedTuple):
    """An element type.

    Attributes:
        name: name in the format.
        number: number in checkpoint.h.
        bits: bits of an element.
        numpy: name in numpy or ml_dtypes; None if there is none.
        torch: name in torch; None if there is none.
        dlpack: type code of DLPack; None if there is none.
    """

    name: str
    number: int
    bits: int
    numpy: Optional[str]
    torch: Optional[str]
    dlpack: Optional[int]


TYPES = [
    ElementType("f64", 1, 64, "float64", "float64", 2),
    ElementType("f32", 2, 32, "float32", "float32", 2),
    ElementType("f16", 3, 16, "float16", "float16", 2),
    ElementType("bf16", 4, 16, "bfloat16", "bfloat16", 4),
    ElementType("f8e4m3", 5, 8, "float8_e4m3fn", "float8_e4m3fn", 10),
    ElementType("f8e5m2", 6, 8, "float8_e5m2", "float8_e5m2", 12),
    ElementType("i64", 7, 64, "int64", "int64", 0),
    ElementType("i32", 8, 32, "int32", "int32", 0),
    ElementType("i16", 9, 16, "int16", "int16", 0),
    ElementType("i8", 10, 8, "int8", "int8", 0),
    ElementType("u64", 11, 64, "uint64", "uint64", 1),
    ElementType("u32", 12, 32, "uint32", "uint32", 1),
    ElementType("u16", 13, 16, "uint16", "uint16", 1),
    ElementType("u8", 14, 8, "uint8", "uint8", 1),
    ElementType("bool", 15, 8, "bool", "bool", 6),
    ElementType("c128", 16, 128, "complex128", "complex128", 5),
    ElementType("c64", 17, 64, "complex64", "complex64", 5),
    ElementType("c32", 18, 32, None, "complex32", 5),
    ElementType("bc32", 19, 32, None, None, None),
    ElementType("f8e8m0", 20, 8, "float8_e8m0fnu", "float8_e8m0fnu", 14),
    ElementType("f8e4m3fnuz", 21, 8, "float8_e4m3fnuz", "float8_e4m3fnuz", 11),
    ElementType("f8e5m2fnuz", 22, 8, "float8_e5m2fnuz", "float8_e5m2fnuz", 13),
    ElementType("f8e4m3b11fnuz", 23, 8, "float8_e4m3b11fnuz", None, 9),
    ElementType("f8e4m3ieee", 24, 8, "float8_e4m3", None, 8),
    ElementType("f8e3m4", 25, 8, "float8_e3m4", None, 7),
    ElementType("f6e2m3", 26, 6, None, None, None),
    ElementType("f6e3m2", 27, 6, None, None, None),
    ElementType("f4e2m1", 28, 4, None, None, None),
    ElementType("i4", 29, 4, None, None, None),
    ElementType("u4", 30, 4, None, None, None),
    ElementType("i2", 31, 2, None, None, None),
    ElementType("u2", 32, 2, None, None, None),
    ElementType("i1", 33, 1, None, None, None),
    ElementType("u1", 34, 1, None, None, None),
]

BY_NAME = {kind.name: kind for kind in TYPES}
BY_NUMBER = {kind.number: kind for kind in TYPES}
BY_NUMPY = {kind.numpy: kind for kind in TYPES if kind.numpy}
BY_TORCH = {"torch." + kind.torch: kind for kind in TYPES if kind.torch}
BY_DLPACK = {(kind.dlpack, kind.bits): kind for kind in TYPES if kind.dlpack is not None}
#: By letter and bits of the array interface: numpy's own types alone have a letter.
BY_TYPE_LETTER = {
    (letter, kind.bits): kind for kind in TYPES for letter, prefix in (("f", "f"), ("i", "i"), ("u", "u"), ("c", "c"))
    if kind.numpy and kind.name == f"{prefix}{kind.bits}"
} | {("b", 8): BY_NAME["bool"]}
