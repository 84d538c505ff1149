"""ZipNN: a compressor for weights."""

from __future__ import annotations

from typing import Any

import torch
from zipnn import ZipNN

from .base import Codec


class Zipnn(Codec):
    """ZipNN with its defaults for each type, and as many threads as the computation."""

    def __init__(self) -> None:
        self._codecs: dict[str, Any] = {}

    def _codec(self, dtype: str) -> Any:
        if dtype not in self._codecs:
            self._codecs[dtype] = ZipNN(
                input_format="byte", bytearray_dtype=dtype, threads=torch.get_num_threads())
        return self._codecs[dtype]

    def compress(self, data: bytearray, dtype: str) -> Any:
        self._last = dtype
        return self._codec(dtype).compress(data)

    def decompress(self, data: Any) -> Any:
        return self._codec(self._last).decompress(data)
