#!/usr/bin/python3
"""An independent reader of ckpt stores, written from the pages in Formats/ alone.

    read_checkpoint.py STORE [REF] --json       list a checkpoint, with the digest of everything in it
    read_checkpoint.py STORE [REF] --out DIR    write each tensor's raw bytes to DIR/00000.bin ... and DIR/index.json
    read_checkpoint.py STORE --verify           check everything; one line a finding; exit 1 if there is any
    read_checkpoint.py --vector KIND FILE [--as NAME]   parse one file (KIND: store, segment, manifest), print what it says
    read_checkpoint.py --vector block FILE --as CODEC:RAWBYTES[:BASE]   decode the stored bytes of one block, of codec 4
                                                                        with the base's bytes in hexadecimal digits

REF is a step, or the first digits of a checkpoint id; without it, the newest checkpoint that is whole.
Needs Python 3.11 and python3-xxhash, python3-zstandard, python3-lz4. Read it beside the specification: each function
names the page that it follows. Every length that comes from a file is compared with its limit before it is used.
"""

import argparse
import itertools
import json
import math
import mmap
import os
import re
import struct
import sys

import lz4.block
import xxhash
import zstandard

# ---- limits.md ------------------------------------------------------------------------------------------------------

PAGE = 4096
BLOCK_BYTES_MAX = 67108864
SEGMENT_BYTES_MAX = 68719476736
BLOCKS_PER_SEGMENT_MAX = 4194304
SEGMENTS_PER_RANK_MAX = 100000
WORLD_SIZE_MAX = 100000
SEGMENTS_PER_MANIFEST_MAX = 1048576
BLOCKS_PER_MANIFEST_MAX = 16777216
CHUNKS_PER_MANIFEST_MAX = 33554432
MANIFEST_JSON_BYTES_MAX = 536870912
MANIFEST_BYTES_MAX = 4294967296
STORE_JSON_BYTES_MAX = 65536
JSON_DEPTH_MAX = 64
NAME_BYTES_MAX = 4096
RANK_OF_TENSOR_MAX = 32
TENSORS_PER_MANIFEST_MAX = 16777216
PIECES_PER_SHARD_MAX = 65536
RUNS_PER_TENSOR_MAX = 4194304
METRICS_MAX = 4096
GROUPS_MAX = 65536
FEATURE_NAMES_MAX = 64
PART_INDEX_ROWS_PER_PAGE = 2048
PART_INDEX_ROWS_MAX = 16777216
ZSTD_WINDOW_MAX = BLOCK_BYTES_MAX  # codecs.md
SUB_BLOCK_BYTES_MAX = 524288  # codecs.md

VERSION = 1
CODECS = {0: "raw", 1: "lz4", 2: "zstd", 3: "planes", 4: "delta", 5: "cast-bf16", 6: "cast-f16"}
CASTS = (5, 6)
FEATURES = {0: "parts", 1: "delta", 2: "cast", 3: "alias", 5: "types", 6: "pieces"}  # known by name
PARTS = 1 << 0
PIECES = 1 << 6
IMPLEMENTED = PARTS | 1 << 1 | 1 << 2 | 1 << 5 | PIECES  # parts, delta, cast, types and pieces
DELTA_CHAIN_MAX = 8
NO_BASE = 0xFFFFFFFF
BITS = {"f64": 64, "f32": 32, "f16": 16, "bf16": 16, "f8e4m3": 8, "f8e5m2": 8, "i64": 64, "i32": 32, "i16": 16, "i8": 8,
        "u64": 64, "u32": 32, "u16": 16, "u8": 8, "bool": 8}
TYPES_OF_FEATURE = {"c128": 128, "c64": 64, "c32": 32, "bc32": 32, "f8e8m0": 8, "f8e4m3fnuz": 8, "f8e5m2fnuz": 8,
                    "f8e4m3b11fnuz": 8, "f8e4m3ieee": 8, "f8e3m4": 8, "f6e2m3": 6, "f6e3m2": 6, "f4e2m1": 4, "i4": 4,
                    "u4": 4, "i2": 2, "u2": 2, "i1": 1, "u1": 1}  # with the feature `types`
BITS.update(TYPES_OF_FEATURE)
TENSOR_ROLES = {"parameter", "optimizer", "buffer", "other"}
OBJECT_ROLES = {"rng", "data", "schedule", "optimizer", "config", "other"}

MANIFEST_NAME = re.compile(r"([0-9a-f]{32})-([0-9]{20})\.manifest", re.ASCII)
SEGMENT_NAME = re.compile(r"([0-9a-f]{32})-([0-9]{5})-([0-9]{5})\.segment", re.ASCII)
HEX_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
FEATURE_NAME = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


class Bad(Exception):
    """A file that must be refused: `error` is "damage" or "unsupported"; `offset` is None where no one place is wrong."""

    def __init__(self, error, offset, message, file=None):
        super().__init__(message)
        self.error, self.offset, self.message, self.file = error, offset, message, file


def need(condition, offset, message):
    if not condition:
        raise Bad("damage", offset, message)


def unsupported(offset, message):
    raise Bad("unsupported", offset, message)


def hash128(data):
    return xxhash.xxh3_128_digest(data)  # the canonical form: big-endian, seed 0


def hash64(data):
    return xxhash.xxh3_64_intdigest(data)


def pages(count):
    return (count + PAGE - 1) // PAGE * PAGE


def need_zero(data, start, end, what):
    """Reserved bytes and padding are zero; the offset named is that of the first byte that is not."""
    field = bytes(data[start:end])
    need(not any(field), start + len(field) - len(field.lstrip(b"\0")), f"{what} is not zero")


def u16(data, at):
    return struct.unpack_from("<H", data, at)[0]


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


# ---- JSON (manifest.md, "JSON"; store.json is held to the same rules) -----------------------------------------------


def parse_json(data, what, bounded=True):
    """Strict JSON: UTF-8 without a mark, no duplicate keys, bounded nesting, integers of 64 bits, nothing after it.
    Objects are the program's own JSON: their integers are not `bounded`."""
    try:
        text = bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        raise Bad("damage", None, f"{what} is not UTF-8") from None
    need(not text.startswith("\ufeff"), None, f"{what} starts with a byte-order mark")
    depth = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text, re.DOTALL):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token.group()[0], 0)
        need(depth <= JSON_DEPTH_MAX, None, f"{what} is nested deeper than {JSON_DEPTH_MAX}")

    def unique(pairs):
        keys = dict(pairs)
        need(len(keys) == len(pairs), None, f"{what} has a duplicate key")
        return keys

    def integer(digits):
        most = 20 if bounded else 4000  # Python reads no integer of more digits
        need(len(digits) <= most and (not bounded or -2**63 <= int(digits) < 2**63), None, f"{what}: integer too large")
        return int(digits)

    def number(text):
        need(abs(float(text)) != float("inf"), None, f"{what} has a number outside binary64")
        return float(text)

    def constant(name):
        raise Bad("damage", None, f"{what} has the constant {name}")

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_int=integer, parse_float=number,
                           parse_constant=constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate is not UTF-8 in any way
    except (ValueError, RecursionError) as error:
        raise Bad("damage", None, f"{what} is not JSON: {error}") from None
    return value


def get(where, key, kind, what):
    """The value of a key that must be there and of the type given; `int` does not admit true, false or 1.0."""
    need(type(where) is dict and key in where, None, f"{what}: no `{key}`")
    value = where[key]
    need(type(value) is kind, None, f"{what}: `{key}` is not of type {kind.__name__}")
    return value


def get_id(where, key, what):
    value = get(where, key, str, what)
    need(HEX_ID.fullmatch(value), None, f"{what}: `{key}` is not 32 lower-case hexadecimal digits")
    return value


def get_count(where, key, what, most=2**63 - 1):
    value = get(where, key, int, what)
    need(0 <= value <= most, None, f"{what}: `{key}` is out of range")
    return value


def get_sizes(where, key, what):
    values = get(where, key, list, what)
    need(len(values) <= RANK_OF_TENSOR_MAX, None, f"{what}: `{key}` has too many dimensions")
    need(all(type(v) is int and v >= 0 for v in values), None, f"{what}: `{key}` is not an array of sizes")
    return values


def get_name(where, what):
    value = get(where, "name", str, what)
    need(1 <= len(value.encode("utf-8")) <= NAME_BYTES_MAX, None, f"{what}: `name` has a wrong length")
    return value


# ---- store-layout.md: store.json ------------------------------------------------------------------------------------


def parse_store(data):
    need(len(data) <= STORE_JSON_BYTES_MAX, None, "store.json is larger than 64 KiB")
    store = parse_json(data, "store.json")
    need(get(store, "format", str, "store.json") == "ckpt-store", None, "format is not ckpt-store")
    version = get(store, "version", int, "store.json")
    if version > VERSION:
        unsupported(None, f"store version {version}")
    need(version == VERSION, None, f"store version {version}")
    get_id(store, "id", "store.json")
    get_count(store, "created_ms", "store.json")
    for key in ("required_features", "optional_features"):
        names = get(store, key, list, "store.json")
        need(len(names) <= FEATURE_NAMES_MAX, None, f"too many {key}")
        need(all(type(n) is str and FEATURE_NAME.fullmatch(n) for n in names), None, f"{key}: not feature names")
    lines = [store["format"], str(version), store["id"], str(store["created_ms"]),
             ",".join(store["required_features"]), ",".join(store["optional_features"])]
    found = hash128("".join(line + "\n" for line in lines).encode("utf-8")).hex()
    need(get_id(store, "check", "store.json") == found, None, "check does not match")
    if store["required_features"]:  # this reader implements none, known or not
        unsupported(None, "required features " + ", ".join(store["required_features"]))
    return {key: store[key] for key in
            ("format", "version", "id", "created_ms", "required_features", "optional_features", "check")}


# ---- codecs.md ------------------------------------------------------------------------------------------------------


def decode(codec, stored, raw_bytes, base=None):
    """Exactly `raw_bytes` bytes, or ValueError. Never makes more than that, whatever the stored bytes say."""
    if codec == 0:
        raw = bytes(stored)
    elif codec == 1:
        try:
            raw = lz4.block.decompress(bytes(stored), uncompressed_size=raw_bytes)
        except lz4.block.LZ4BlockError as error:
            raise ValueError(f"lz4: {error}") from None
    elif codec == 2:
        raw = decode_zstd(bytes(stored), raw_bytes)
    elif codec in CASTS:
        raw = cast(codec, bytes(stored), raw_bytes, base)
    else:
        raw = decode_sub_blocks(codec, bytes(stored), raw_bytes, base)
    if len(raw) != raw_bytes:
        raise ValueError(f"decoded to {len(raw)} bytes, not {raw_bytes}")
    return raw


def decode_zstd(stored, raw_bytes):
    try:
        frame = zstandard.get_frame_parameters(stored)
        at = zstandard.frame_header_size(stored)
    except zstandard.ZstdError as error:
        raise ValueError(f"zstd: {error}") from None
    if stored[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("zstd: not a frame")
    if frame.dict_id != 0:
        raise ValueError("zstd: needs a dictionary")
    if frame.window_size > ZSTD_WINDOW_MAX:
        raise ValueError("zstd: window larger than 64 MiB")
    if frame.content_size not in (zstandard.CONTENTSIZE_UNKNOWN, raw_bytes):
        raise ValueError("zstd: content size is not the block's")
    last = False
    while not last:  # RFC 8878, 3.1.1.2: walk the block headers, to see that the frame ends where the stored bytes end
        if at + 3 > len(stored):
            raise ValueError("zstd: frame cut short")
        header = int.from_bytes(stored[at:at + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        at += 3 + (1 if kind == 1 else size)
    at += 4 if frame.has_checksum else 0
    if at != len(stored):
        raise ValueError("zstd: stored bytes are not exactly one frame")
    try:
        with zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_MAX).stream_reader(stored) as reader:
            pieces, left = [], raw_bytes + 1
            while left and (piece := reader.read(left)):
                pieces.append(piece)
                left -= len(piece)
    except zstandard.ZstdError as error:
        raise ValueError(f"zstd: {error}") from None
    return b"".join(pieces)


class Elements:
    """All elements of a sub-block as one number, of which each has `bits` bits: every step works on all of them at once."""

    def __init__(self, width, count):
        self.bits = 8 * width
        self.ones = int.from_bytes((b"\1" + bytes(width - 1)) * count, "little")  # a 1 in every element
        self.all, self.tops = self.ones * (2**self.bits - 1), self.ones << (self.bits - 1)

    def subtract(self, x, y):
        return ((x | self.tops) - (y & ~self.tops)) ^ ((x ^ ~y) & self.tops)

    def add(self, x, y):
        return ((x & ~self.tops) + (y & ~self.tops)) ^ ((x ^ y) & self.tops)

    def ordered(self, x):
        return x ^ (((x & self.tops) >> (self.bits - 1)) * (2**(self.bits - 1) - 1))

    def unzigzag(self, y):
        return ((y & ~self.ones) >> 1) ^ ((y & self.ones) * (2**self.bits - 1))

    def rotated_right(self, y, by):
        low = self.ones * (2**by - 1)
        return (y & ~low) >> by | (y & low) << (self.bits - by)

    def undone(self, y, rotation, residual, base):
        if rotation:
            y = self.rotated_right(y, rotation)
        if residual == 1:
            return y ^ base
        if residual == 2:
            return self.add(base, self.unzigzag(y))
        if residual == 3:
            return self.ordered(self.add(self.ordered(base), self.unzigzag(y)))
        return y


def cast(codec, stored, raw_bytes, source):
    """Two-byte floats of four-byte ones: rounded to the nearest, and to even between two."""
    if stored or source is None or len(source) != 2 * raw_bytes:
        raise ValueError("cast: stored bytes, or no base of twice the length")
    values = struct.unpack(f"<{raw_bytes // 2}I", source)
    return struct.pack(f"<{raw_bytes // 2}H", *map(to_bf16 if codec == 5 else to_f16, values))


def to_bf16(bits):
    if bits & 0x7FFFFFFF > 0x7F800000:
        return bits >> 16 & 0x8000 | 0x7FC0
    return nearest(bits, 16)


def to_f16(bits):
    sign, magnitude = bits >> 16 & 0x8000, bits & 0x7FFFFFFF
    if magnitude > 0x7F800000:
        return sign | 0x7E00
    exponent, fraction = magnitude >> 23, magnitude & 0x7FFFFF | 0x800000
    if exponent < 102:  # below half of the least subnormal
        return sign
    if exponent < 113:  # a subnormal: so many times 2^-24
        return sign | nearest(fraction, 126 - exponent)
    return sign | min(nearest(magnitude - (112 << 23), 13), 0x7C00)


def nearest(number, shift):
    """number / 2^shift, rounded to the nearest, and to even between two."""
    return (number + (1 << shift - 1) - 1 + (number >> shift & 1)) >> shift


def decode_sub_blocks(codec, stored, raw_bytes, base):
    if codec == 4 and (base is None or len(base) != raw_bytes):
        raise ValueError("delta: no base, or one of another length")
    raw, at = bytearray(), 0
    while len(raw) < raw_bytes:
        part, at = decode_sub_block(codec, stored, at, raw_bytes - len(raw), base and base[len(raw):])
        raw += part
    if at != len(stored):
        raise ValueError("planes: stored bytes left over")
    return bytes(raw)


def decode_sub_block(codec, stored, at, raw_left, base):
    """The raw bytes of the sub-block at `at`, and where it ends."""
    def take(count):
        nonlocal at
        if len(stored) - at < count:
            raise ValueError(f"planes: cut short at {at}")
        at += count
        return stored[at - count:at]

    def check(condition, what):
        if not condition:
            raise ValueError(f"planes: {what} before {at}")

    word = u32(take(4), 0)
    size, width, residual, is_sorted = word & 0xFFFFFF, 1 << (word >> 24 & 3), word >> 27 & 3, word >> 31
    rotation = word >> 26 & 1 | word >> 28 & 6
    check(width <= size <= min(SUB_BLOCK_BYTES_MAX, raw_left), "rawBytes out of range")
    check(width > 1 or rotation == is_sorted == 0, "a layout that is not allowed")
    check(residual == 0 or codec == 4, "a residual without a base")
    count, out, grid = size // width, bytearray(size), None
    counts = [count] * width
    if is_sorted and not residual:
        columns, first = grid = u32(take(4), 0), u32(take(4), 0)
        check(2 <= columns <= count and first < columns, "a grid that is not allowed")
        counts += [columns, (first + count - 1) // columns + 1]
    planes, rows = [], [u32(take(4), 0) for _ in counts]
    for row, plane_bytes in zip(rows, counts):
        mode, bits, inner, payload = row >> 24 & 3, row >> 26 & 3, row >> 28, row & 0xFFFFFF
        check(inner <= 4 and (mode == 3 or bits == inner == 0), "reserved bits of a plane")
        check(payload == {0: 1, 1: plane_bytes}.get(mode, payload), "storedBytes of a plane")
        planes.append(decode_plane(mode, bits + 1, inner, take(payload), plane_bytes))
    for plane in range(width):
        out[plane:count * width:width] = planes[plane]
    body = count * width
    order = sorted_order(grid, planes[width:], base, count, width) if is_sorted else None
    if rotation or residual:
        elements = Elements(width, count)
        base_number = int.from_bytes(permuted(base[:body], order, width), "little") if residual else 0
        number = elements.undone(int.from_bytes(out[:body], "little"), rotation, residual, base_number)
        out[:body] = number.to_bytes(body, "little")
    if is_sorted:
        places = bytearray(body)
        for number, place in enumerate(order):
            places[place * width:(place + 1) * width] = out[number * width:(number + 1) * width]
        out[:body] = places
    out[body:] = take(size % width)
    return out, at


def sorted_order(grid, lines, base, count, width):
    """The places, in the order of their keys."""
    if grid:
        columns, first = grid
        keys = [lines[0][(first + i) % columns] + lines[1][(first + i) // columns] for i in range(count)]
    else:
        keys = [int.from_bytes(base[i * width + width - 2:i * width + width], "little") >> 7 & 255 for i in range(count)]
    return sorted(range(count), key=keys.__getitem__)


def permuted(data, order, width):
    return data if order is None else b"".join(data[i * width:(i + 1) * width] for i in order)


def decode_plane(mode, bits, inner, payload, count):
    if mode == 0:
        return payload * count
    if mode == 1:
        return payload
    if mode == 2:
        plane = decode_zstd(payload, count)
        if len(plane) != count:
            raise ValueError("planes: a frame of another size than its plane")
        return plane
    return decode_top(bits, inner, payload, count)


def decode_top(bits, inner, payload, count):
    escape = 2**bits - 1
    groups = (count + 63) // 64
    escapes = payload[escape + 8 * bits * groups:]
    if inner:
        if len(escapes) < 4 or u32(escapes, 0) > count:
            raise ValueError("planes: the number of escapes is cut short or too large")
        escapes = decode_top(inner, 0, escapes[4:], u32(escapes, 0))
    escapes = iter(escapes)
    if len(payload) < escape + 8 * bits * groups:
        raise ValueError("planes: too few words")
    plane = bytearray()
    for group in range(groups):
        words = struct.unpack_from(f"<{bits}Q", payload, escape + 8 * bits * group)
        used = min(64, count - len(plane))
        if any(word >> used for word in words):
            raise ValueError("planes: bits beyond the plane")
        for i in range(used):
            code = sum((word >> i & 1) << j for j, word in enumerate(words))
            byte = payload[code] if code < escape else next(escapes, None)
            if byte is None:
                raise ValueError("planes: too few escapes")
            plane.append(byte)
    if next(escapes, None) is not None:
        raise ValueError("planes: escapes left over")
    return plane


# ---- segment.md -----------------------------------------------------------------------------------------------------


def check_segment_header(data, name):
    need(data[0:8] == b"CKPTSEGM", 0, "not a segment")
    need(hash128(data[0:4080]) == data[4080:4096], 4080, "header page does not match its hash")
    version = u16(data, 8)
    if version > VERSION:
        unsupported(8, f"segment version {version}")
    need(version == VERSION, 8, "segment version 0")
    need_zero(data, 10, 12, "reserved0")
    rank, number, attempt = u32(data, 12), u32(data, 16), data[40:56].hex()
    need(rank < WORLD_SIZE_MAX, 12, f"rank {rank}")
    need(number < SEGMENTS_PER_RANK_MAX, 16, f"number {number}")
    need_zero(data, 20, 24, "reserved1")
    need_zero(data, 56, 4080, "padding of the header page")
    if named := name and SEGMENT_NAME.fullmatch(name):
        need(rank == int(named[2]), 12, f"rank {rank} in a file named for rank {named[2]}")
        need(number == int(named[3]), 16, f"number {number} in a file named for number {named[3]}")
        need(attempt == named[1], 40, "attempt is not that of the file's name")
    return {"version": version, "rank": rank, "number": number, "store": data[24:40].hex(), "attempt": attempt}


def check_segment_trailer(data, version):
    size, at = len(data), len(data) - 64
    need(data[at:at + 8] == b"CKPTSEGE", at, "no trailer: truncated or overwritten")
    need(u16(data, at + 8) == version, at + 8, "version is not the header's")
    need_zero(data, at + 10, at + 12, "reserved0")
    count, index, file_bytes = u32(data, at + 12), u64(data, at + 16), u64(data, at + 24)
    need(count <= BLOCKS_PER_SEGMENT_MAX, at + 12, f"{count} blocks")
    need(index % PAGE == 0 and PAGE <= index <= at, at + 16, f"index offset {index}")
    need(file_bytes == size, at + 24, f"file length expected {file_bytes}, found {size}")
    need(size - index == pages(32 * count + 64), at + 16, f"{count} rows at {index} do not fill the end of the file")
    need_zero(data, at + 32, at + 48, "reserved1")
    need(hash128(data[index:size - 16]) == data[size - 16:size], size - 16, "index and trailer do not match their hash")
    return count, index


def parse_segment(data, name=None, finding=None):
    """The whole segment. `finding`, if given, is called with each Bad that concerns one block, and reading goes on."""
    def report(bad):
        if finding is None:
            raise bad
        finding(bad)

    size = len(data)
    need(size < 8 or data[0:8] == b"CKPTSEGM", 0, "not a segment")
    need(size >= 2 * PAGE and size % PAGE == 0, size, f"file length {size}: truncated")
    need(size <= SEGMENT_BYTES_MAX, size, f"file length {size}")
    segment = check_segment_header(data, name)
    count, index = check_segment_trailer(data, segment["version"])
    blocks, expected = [], PAGE
    for row in range(index, index + 32 * count, 32):
        offset, stored, raw, stored_hash, codec = struct.unpack_from("<QIIQB", data, row)
        need(offset % PAGE == 0 and offset >= PAGE, row, f"block offset {offset}")
        need(1 <= stored <= BLOCK_BYTES_MAX, row + 8, f"storedBytes {stored}")
        need(1 <= raw <= BLOCK_BYTES_MAX, row + 12, f"rawBytes {raw}")
        need(offset + stored <= index, row, "block outside the segment's blocks")
        need(offset >= expected, row, "blocks overlap or are not ascending")
        need(offset == expected, row, "gap before the block")
        if codec not in CODECS:
            unsupported(row + 24, f"codec {codec}")
        need(codec != 0 or stored == raw, row + 8, "raw block with storedBytes other than rawBytes")
        need(codec not in CASTS, row + 24, "a cast, which lies in no segment")
        need_zero(data, row + 25, row + 32, "reserved")
        blocks.append({"offset": offset, "storedBytes": stored, "rawBytes": raw, "storedHash": f"{stored_hash:016x}",
                       "codec": codec})
        expected = pages(offset + stored)
    need(index == expected, size - 64 + 16, "index is not directly after the last block")
    need_zero(data, index + 32 * count, size - 64, "padding after the index")
    for block in blocks:
        try:
            stored = data[block["offset"]:block["offset"] + block["storedBytes"]]
            check_block(block, stored)
            end = block["offset"] + block["storedBytes"]
            need_zero(data, end, pages(end), "padding after a block")
        except Bad as bad:
            report(bad)
    segment.update(blocks=blocks, fileBytes=size, trailerHash=data[size - 16:size].hex())
    return segment


def check_block(block, stored, base=None):
    """The raw bytes of a block, or nothing of a delta whose base only a manifest knows; its stored hash is checked before decoding."""
    at = block["offset"]
    if block["codec"] in CASTS:
        return decode(block["codec"], b"", block["rawBytes"], base[at:at + 2 * block["rawBytes"]])
    need(len(stored) == block["storedBytes"], at, "block past the end of its segment")
    need(f"{hash64(stored):016x}" == block["storedHash"], at, "block does not match its stored hash")
    if block["codec"] == 4 and base is None:
        return None
    try:
        return decode(block["codec"], stored, block["rawBytes"], base)
    except ValueError as error:
        raise Bad("damage", at, f"block cannot be decoded: {error}") from None


# ---- manifest.md ----------------------------------------------------------------------------------------------------


def parse_manifest(data):
    size = len(data)
    need(size < 8 or data[0:8] == b"CKPTMANI", 0, "not a manifest")
    need(size >= 80, size, f"file length {size}: truncated")
    file_bytes = u64(data, 40)
    need(file_bytes <= MANIFEST_BYTES_MAX, 40, f"fileBytes {file_bytes}")
    need(size >= file_bytes, size, f"file length expected {file_bytes}, found {size}")
    need(size == file_bytes, 40, f"file length expected {file_bytes}, found {size}")
    hash_at = size - 16
    need(hash128(memoryview(data)[:hash_at]) == data[hash_at:], hash_at, "manifest does not match its hash")
    version = u16(data, 8)
    if version > VERSION:
        unsupported(8, f"manifest version {version}")
    need(version == VERSION, 8, "manifest version 0")

    kind = data[10]
    need(kind <= 1, 10, f"kind {kind}")
    need_zero(data, 11, 12, "reserved0")
    required, optional, json_bytes, segment_count, block_count, chunk_count = struct.unpack_from("<6I", data, 12)
    if refused := required & ~IMPLEMENTED:  # each by its name
        unsupported(12, "required features " + ", ".join(FEATURES.get(b, f"bit {b}") for b in range(32) if refused >> b & 1))
    need(2 <= json_bytes <= MANIFEST_JSON_BYTES_MAX, 20, f"jsonBytes {json_bytes}")
    need(segment_count <= SEGMENTS_PER_MANIFEST_MAX, 24, f"segmentCount {segment_count}")
    need(block_count <= BLOCKS_PER_MANIFEST_MAX, 28, f"blockCount {block_count}")
    need(chunk_count <= CHUNKS_PER_MANIFEST_MAX, 32, f"chunkCount {chunk_count}")
    need_zero(data, 36, 40, "reserved1")
    need_zero(data, 48, 64, "reserved2")
    segments_at = (64 + json_bytes + 7) // 8 * 8
    blocks_at = segments_at + 48 * segment_count
    chunks_at = blocks_at + 40 * block_count
    need(chunks_at + 32 * chunk_count == hash_at, 40, "fileBytes is not the sum of the parts")
    need_zero(data, 64 + json_bytes, segments_at, "padding after the JSON")
    manifest = {"kind": kind, "version": version, "requiredFeatures": required, "optionalFeatures": optional}
    need(not required & PARTS or segment_count == block_count == chunk_count == 0, None, "tables, and the feature `parts`")
    segments = [parse_segment_row(data, segments_at + 48 * n) for n in range(segment_count)]
    blocks = []
    for n in range(block_count):
        blocks.append(parse_block_row(data, blocks_at + 40 * n, segments, blocks, required))
    chunks = [parse_chunk_row(data, chunks_at + 32 * n, blocks) for n in range(chunk_count)]
    manifest.update(check_manifest_json(parse_json(data[64:64 + json_bytes], "manifest"), kind, chunks, required))
    manifest.update(segments=segments, blocks=blocks, chunks=chunks)
    return manifest


def parse_segment_row(data, at):
    rank, number, file_bytes = struct.unpack_from("<IIQ", data, at + 16)
    need(rank < WORLD_SIZE_MAX, at + 16, f"rank {rank}")
    need(number < SEGMENTS_PER_RANK_MAX, at + 20, f"number {number}")
    need(2 * PAGE <= file_bytes <= SEGMENT_BYTES_MAX and file_bytes % PAGE == 0, at + 24, f"segment of {file_bytes} bytes")
    return {"attempt": data[at:at + 16].hex(), "rank": rank, "number": number, "fileBytes": file_bytes,
            "trailerHash": data[at + 32:at + 48].hex()}


def parse_block_row(data, at, segments, before, features):
    segment, codec, offset, stored, raw, stored_hash, base = struct.unpack_from("<IB3xQIIQI", data, at)
    need(segment < len(segments), at, f"segment row {segment} of {len(segments)}")
    if codec not in CODECS:
        unsupported(at + 4, f"codec {codec}")
    need_zero(data, at + 5, at + 6, "reserved0")
    need_zero(data, at + 6, at + 8, "reserved1")
    need(offset <= SEGMENT_BYTES_MAX, at + 8, f"block offset {offset}")
    need(stored <= BLOCK_BYTES_MAX, at + 16, f"storedBytes {stored}")
    need(1 <= raw <= BLOCK_BYTES_MAX, at + 20, f"rawBytes {raw}")
    need_zero(data, at + 36, at + 40, "reserved2")
    need((codec == 4 or codec in CASTS) == (base != NO_BASE), at + 32, "a delta or cast without a base, or a base of something else")
    if base != NO_BASE:
        need(features >> (1 if codec == 4 else 2) & 1, at + 32, "a base, without the feature `delta` or `cast`")
        need(base < len(before), at + 32, "a base that is not an earlier row")
    if codec == 4:
        need(before[base]["rawBytes"] == raw, at + 32, "a base of another size")
        length, row = 1, base
        while before[row]["base"] != NO_BASE:
            length, row = length + 1, before[row]["base"]
        need(length <= DELTA_CHAIN_MAX, at + 32, "a chain of too many deltas")
    if codec in CASTS:
        source = before[base]
        need(source["codec"] not in CASTS and raw % 2 == 0 and offset + 2 * raw <= source["rawBytes"], at + 8, "no cast of its base")
        need(stored == 0 and stored_hash == 0 and segment == source["segment"], at, "a cast with stored bytes, or in another segment")
    else:
        need(stored >= 1, at + 16, f"storedBytes {stored}")
        need(offset % PAGE == 0 and offset >= PAGE, at + 8, f"block offset {offset}")
        need(offset + stored <= segments[segment]["fileBytes"], at + 8, "block outside its segment")
        need(codec != 0 or stored == raw, at + 16, "raw block with storedBytes other than rawBytes")
    return {"segment": segment, "codec": codec, "offset": offset, "storedBytes": stored, "rawBytes": raw,
            "storedHash": f"{stored_hash:016x}", "base": base}


def parse_chunk_row(data, at, blocks):
    block, offset, count, epoch = struct.unpack_from("<IIII", data, at + 16)
    need(block < len(blocks), at + 16, f"block row {block} of {len(blocks)}")
    need(1 <= count <= BLOCK_BYTES_MAX, at + 24, f"chunk of {count} bytes")
    need(offset + count <= blocks[block]["rawBytes"], at + 20, "chunk outside its block")
    return {"hash": data[at:at + 16].hex(), "block": block, "offset": offset, "bytes": count, "epoch": epoch}


def check_manifest_json(text, kind, chunks, features):
    what = "manifest"
    for key in ("id", "store", "run"):
        get_id(text, key, what)
    for key in ("run_name", "writer"):
        get(text, key, str, what)
    for key in ("step", "created_ms"):
        get_count(text, key, what)
    world_size = get_count(text, "world_size", what, WORLD_SIZE_MAX)
    need(world_size >= 1 and get_count(text, "rank", what) < world_size, None, "world_size or rank out of range")
    need("parent" in text, None, "manifest: no `parent`")
    if text["parent"] is not None:
        parent = get(text, "parent", dict, what)
        get_id(parent, "id", "parent"), get_id(parent, "run", "parent"), get_count(parent, "step", "parent")
    if "transfer_check" in text:
        get(text, "transfer_check", str, what)
    if "origin" in text:
        origin = get(text, "origin", dict, what)
        get(origin, "kind", str, "origin"), get_count(origin, "restart", "origin")
        for key in ("store", "run", "branch"):
            get_id(origin, key, "origin")
    metrics = get(text, "metrics", dict, what)
    need(len(metrics) <= METRICS_MAX, None, "too many metrics")
    for value in metrics.values():
        need(type(value) in (int, float) or value in ("nan", "inf", "-inf"), None, "a metric is not a number")
    groups = get(text, "groups", list, what)
    need(len(groups) <= GROUPS_MAX, None, "too many groups")
    for group in groups:
        get(group, "name", str, "group"), get_count(group, "epoch", "group")
    root = features & PARTS
    if root:
        need(kind == 0 and world_size > 1 and text["rank"] == 0, None, "feature `parts`, and no checkpoint of several ranks")
    else:
        need(get(text, "parts", list, what) == [], None, "parts, without the feature `parts`")
        need(kind == 1 or world_size == 1, None, "a checkpoint of several ranks, without the feature `parts`")

    tensors = get(text, "tensors", list, what)
    need(len(tensors) <= TENSORS_PER_MANIFEST_MAX, None, "too many tensors")
    seen = set()
    head = {"features": features, "world_size": world_size, "rank": text["rank"]}
    tensors = [check_tensor(tensor, groups, chunks, seen, head) for tensor in tensors]
    seen = set()
    objects = get(text, "objects", list, what)
    need(len(objects) <= TENSORS_PER_MANIFEST_MAX, None, "too many objects")
    objects = [check_object(thing, chunks, seen, world_size if root else None) for thing in objects]
    if root:
        need(not any(tensor["shards"] for tensor in tensors), None, "a tensor with shards, and the feature `parts`")
    more = check_root(text, world_size, len(tensors)) if root else {}
    keys = ("id", "store", "run", "run_name", "step", "created_ms", "writer", "parent", "world_size", "rank", "metrics",
            "groups")
    keys += tuple(key for key in ("origin", "transfer_check") if key in text)
    return {**{key: text[key] for key in keys}, "tensors": tensors, "objects": objects, **more}


def check_root(text, world_size, tensors):
    """manifest.md, "Checkpoints of several ranks"."""
    parts = get(text, "parts", list, "manifest")
    need(len(parts) == world_size, None, f"{len(parts)} parts of {world_size} ranks")
    for rank, part in enumerate(parts):
        need(get_count(part, "rank", "part") == rank, None, "parts are not in the order of their ranks")
        get_id(part, "hash", "part"), get_count(part, "bytes", "part", MANIFEST_BYTES_MAX)
    index = get(text, "index", dict, "manifest")
    get_id(index, "hash", "index")
    rows, pages = get_count(index, "rows", "index", PART_INDEX_ROWS_MAX), get(index, "pages", list, "index")
    need(len(pages) == -(-rows // PART_INDEX_ROWS_PER_PAGE), None, f"index: {len(pages)} pages of {rows} rows")
    for page in pages:
        get_id(page, "hash", "page"), get_count(page, "last", "page"), get_count(page, "first", "page")
        need(get_count(page, "tensor", "page") < tensors, None, "a page of a tensor that is not there")
    places = [(page["tensor"], page["first"]) for page in pages]
    need(places == sorted(places), None, "pages are not in order")
    return {"parts": parts, "index": index}


def product(sizes):
    """The number of elements; exact, since Python's integers do not overflow. A 0 anywhere makes it 0."""
    count = 1
    for size in sizes:
        count *= size
    return count


def chunk_range(where, chunks, what):
    first, count = get_count(where, "first", what), get_count(where, "count", what)
    need(first + count <= len(chunks), None, f"{what}: chunk rows {first} + {count} of {len(chunks)}")
    return range(first, first + count)


def check_tensor(tensor, groups, chunks, seen, head):
    name = get_name(tensor, "tensor")
    what = f"tensor {name!r:.80}"
    need(name not in seen, None, f"{what}: duplicate name")
    seen.add(name)
    kind, role = get(tensor, "type", str, what), get(tensor, "role", str, what)
    need(kind in BITS, None, f"{what}: element type {kind!r:.40}")
    need(kind not in TYPES_OF_FEATURE or head["features"] >> 5 & 1, None, f"{what}: type {kind}, without the feature `types`")
    shape, group = get_sizes(tensor, "shape", what), get_count(tensor, "group", what)
    need(group < len(groups), None, f"{what}: group {group} of {len(groups)}")
    need(product(shape) * BITS[kind] < 2**66, None, f"{what}: shape too large")
    need(product(shape) * BITS[kind] % 8 == 0, None, f"{what}: the last byte is not full")
    unit = math.lcm(BITS[kind], 8) // BITS[kind]  # elements in the fewest whole bytes
    need("cast_of" not in tensor and "alias_of" not in tensor, None, f"{what}: `cast_of`, or alias without its feature")
    shards = [check_shard(shard, shape, BITS[kind], unit, chunks, head, what) for shard in get(tensor, "shards", list, what)]
    epoch = groups[group]["epoch"] & 0xFFFFFFFF
    need(all(chunks[n]["epoch"] == epoch for s in shards for n in range(s["first"], s["first"] + s["count"])), None,
         f"{what}: chunk of another epoch than its group's")
    need(len(shards) <= WORLD_SIZE_MAX, None, f"{what}: too many shards")
    need(len(shards) <= 1 or 0 not in shape, None, f"{what}: several shards of an empty tensor")
    if any("pieces" in s for s in shards):
        pieces = [piece for s in shards for piece in shard_pieces(s, shape)]
        need(sum(run_count(piece) for piece in pieces) <= RUNS_PER_TENSOR_MAX, None, f"{what}: too many runs")
        check_once((run for piece in pieces for run in runs(piece)), f"{what}: shards overlap")
    else:
        check_disjoint(shards, what)
    if head["world_size"] == 1:
        need(sum(elements_of(s) for s in shards) == product(shape), None, f"{what}: shards do not cover the shape")
    found = {"name": name, "type": kind, "shape": shape, "role": role if role in TENSOR_ROLES else "other",
             "group": group, "shards": shards}
    if "copies" in tensor:
        need(head["world_size"] > 1 and not head["features"] & PARTS, None, f"{what}: copies outside a part")
        copies = get(tensor, "copies", list, what)
        need(len(copies) <= WORLD_SIZE_MAX, None, f"{what}: too many copies")
        found["copies"] = [check_copy(copy, shape, BITS[kind], unit, what) for copy in copies]
    return found


def check_copy(copy, shape, bits, unit, what):
    """Elements that the rank holds and another one saves: a place as a shard's, and hashes."""
    found = check_place(copy, shape, unit, what)
    sizes, hashes = get(copy, "bytes", list, what), get(copy, "hashes", list, what)
    need(len(sizes) == len(hashes) and all(type(size) is int and 1 <= size <= BLOCK_BYTES_MAX for size in sizes), None,
         f"{what}: sizes of a copy's chunks")
    need(all(type(digest) is str and len(digest) == 32 and set(digest) <= set("0123456789abcdef") for digest in hashes), None,
         f"{what}: hashes of a copy's chunks")
    need(sum(sizes) == elements_of(found) * bits // 8, None, f"{what}: chunks do not add up to the copy")
    return {**found, "bytes": sizes, "hashes": hashes}


def check_shard(shard, shape, bits, unit, chunks, head, what):
    rows = chunk_range(shard, chunks, what)
    found = {"first": rows.start, "count": len(rows), **check_place(shard, shape, unit, what)}
    if "pieces" in shard:
        need(head["features"] & PIECES, None, f"{what}: pieces without feature `pieces`")
        need(all(chunks[n]["bytes"] * 8 % bits == 0 for n in rows), None, f"{what}: a chunk ends inside an element")
    if "replicas" in shard:
        replicas = found["replicas"] = get(shard, "replicas", list, what)
        need(all(type(r) is int and 0 <= r < head["world_size"] and r != head["rank"] for r in replicas), None,
             f"{what}: replicas are not other ranks")
        need(all(a < b for a, b in zip(replicas, replicas[1:])), None, f"{what}: replicas are not ascending")
    need(sum(chunks[n]["bytes"] for n in rows) == elements_of(found) * bits // 8, None,
         f"{what}: chunks do not add up to the shard")
    return found


def check_place(shard, shape, unit, what):
    """The elements of a shard or a copy: a box, or pieces."""
    if "pieces" in shard:
        need("offset" not in shard and "extent" not in shard, None, f"{what}: a shard with both pieces and a box")
        need(unit == 1, None, f"{what}: a shard of a packed type that is not a box")
        return {"pieces": check_pieces(get(shard, "pieces", list, what), shape, what)}
    offset, extent = get_sizes(shard, "offset", what), get_sizes(shard, "extent", what)
    need(len(offset) == len(extent) == len(shape), None, f"{what}: shard of another rank than its tensor")
    need(all(o + e <= s for o, e, s in zip(offset, extent, shape)), None, f"{what}: shard outside the shape")
    need(unit == 1 or extent == shape or all(n % unit == 0 for n in (shape[-1], offset[-1], extent[-1])), None,
         f"{what}: a shard that cuts a byte")
    return {"offset": offset, "extent": extent}


def check_pieces(pieces, shape, what):
    """Pieces as tuples: shape, and per side (tensor, shard) its offset and strides."""
    need(1 <= len(pieces) <= PIECES_PER_SHARD_MAX, None, f"{what}: {len(pieces)} pieces")
    found, end = [], 0
    for piece in pieces:
        extents, offset, strides = get_sizes(piece, "shape", what), get_count(piece, "offset", what), get_sizes(piece, "strides", what)
        local_offset = get_count(piece, "local_offset", what) if "local_offset" in piece else end
        local_strides = get_sizes(piece, "local_strides", what) if "local_strides" in piece else row_major(extents)
        need(len(strides) == len(local_strides) == len(extents) and 0 not in extents, None, f"{what}: a piece's dimensions")
        found.append((extents, (offset, strides), (local_offset, local_strides)))
        end += product(extents)
    for extents, place, local in found:
        need(nests(extents, place, product(shape)), None, f"{what}: a piece outside its tensor, or that overlaps itself")
        need(nests(extents, local, end), None, f"{what}: a piece outside its shard, or that overlaps itself")
    need(sum(map(run_count, found)) <= RUNS_PER_TENSOR_MAX, None, f"{what}: too many runs")
    # they are as large as the shard together: so they fill it if they do not overlap
    check_once((run for extents, _, local in found for run in runs((extents, local))), f"{what}: pieces overlap in the shard")
    return found


def row_major(extents):
    return [product(extents[n + 1:]) for n in range(len(extents))]


def nests(extents, side, bound):
    reach = 0
    for stride, extent in sorted((s, e) for s, e in zip(side[1], extents) if e > 1):
        if stride <= reach:
            return False
        reach += stride * (extent - 1)
    return side[0] + reach < bound


def joined(piece):
    """A piece's dimensions on the side of the tensor: (stride, extent), greatest stride first, as few as possible."""
    found = []
    for stride, extent in sorted(((s, e) for s, e in zip(piece[1][1], piece[0]) if e > 1), reverse=True):
        if found and found[-1][0] == stride * extent:
            found[-1] = (stride, found[-1][1] * extent)
        else:
            found.append((stride, extent))
    return found


def run_count(piece):
    return product([extent for stride, extent in joined(piece) if stride != 1])


def runs(piece):
    """(first element, number of elements) of each run."""
    dimensions = joined(piece)
    length = dimensions.pop()[1] if dimensions and dimensions[-1][0] == 1 else 1
    for index in itertools.product(*(range(0, stride * extent, stride) for stride, extent in dimensions)):
        yield piece[1][0] + sum(index), length


def check_once(found, message):
    end = 0
    for start, length in sorted(found):
        need(start >= end, None, message)
        end = start + length


def shard_pieces(shard, shape):
    if "pieces" in shard:
        return shard["pieces"]
    if 0 in shard["extent"]:
        return []
    strides = row_major(shape)
    first = sum(o * s for o, s in zip(shard["offset"], strides))
    return [(shard["extent"], (first, strides), (0, row_major(shard["extent"])))]


def elements_of(shard):
    return sum(product(p[0]) for p in shard["pieces"]) if "pieces" in shard else product(shard["extent"])


def check_disjoint(shards, what):
    whole = sorted((s for s in shards if product(s["extent"])), key=lambda s: s["offset"])
    for n, a in enumerate(whole):
        for b in whole[n + 1:]:
            if a["offset"] and b["offset"][0] >= a["offset"][0] + a["extent"][0]:
                break  # sorted by the first index: nothing further can touch `a`
            need(any(ao + ae <= bo or bo + be <= ao for ao, ae, bo, be in
                     zip(a["offset"], a["extent"], b["offset"], b["extent"])), None, f"{what}: shards overlap")


def check_object(thing, chunks, seen, world_size=None):
    name = get_name(thing, "object")
    what = f"object {name!r:.80}"
    need(name not in seen, None, f"{what}: duplicate name")
    seen.add(name)
    role, encoding = get(thing, "role", str, what), get(thing, "encoding", str, what)
    need(encoding in ("json", "bytes"), None, f"{what}: encoding {encoding!r:.40}")
    rows, count = chunk_range(thing, chunks, what), get_count(thing, "bytes", what)
    if world_size is None:
        need(sum(chunks[n]["bytes"] for n in rows) == count, None, f"{what}: chunks do not add up to its bytes")
    else:
        need(get_count(thing, "rank", what) < world_size, None, f"{what}: a rank that is not there")
    need(all(chunks[n]["epoch"] == 0 for n in rows), None, f"{what}: a chunk with an epoch")
    return {"name": name, "role": role if role in OBJECT_ROLES else "other", "encoding": encoding, "bytes": count,
            "first": rows.start, "count": len(rows), **({"rank": thing["rank"]} if world_size else {})}


# ---- a store, and the bytes of a checkpoint -------------------------------------------------------------------------


def read_bounded(path, most):
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        need(size <= most, size, f"file length {size}")
        return file.read(most)


def in_file(name, action):
    """Runs an action; a Bad that leaves it carries the file's name."""
    try:
        return action()
    except Bad as bad:
        bad.file = bad.file or name
        raise
    except OSError as error:
        raise Bad("damage", None, error.strerror or str(error), name) from None


def segment_name(row):
    return f"segments/{row['attempt']}-{row['rank']:05}-{row['number']:05}.segment"


def is_manifest_name(name):
    named = MANIFEST_NAME.fullmatch(name)
    return named is not None and int(named[2]) < 2**63


class Store:
    def __init__(self, path):
        self.path = path
        self.identity = in_file("store.json", lambda: parse_store(
            read_bounded(os.path.join(path, "store.json"), STORE_JSON_BYTES_MAX)))
        # The last name in byte order is the newest checkpoint; names of another form are not part of the store.
        self.names = sorted(n for n in self.list("manifests") if is_manifest_name(n))

    def list(self, folder):
        return in_file(folder, lambda: sorted(os.listdir(os.path.join(self.path, folder)), key=os.fsencode))

    def manifest(self, name):
        def read():
            manifest = parse_manifest(read_bounded(os.path.join(self.path, "manifests", name), MANIFEST_BYTES_MAX))
            named = MANIFEST_NAME.fullmatch(name)
            need(manifest["kind"] == 0, 10, "a part manifest under the name of a checkpoint")
            need((manifest["run"], manifest["step"]) == (named[1], int(named[2])), None, "run or step is not the name's")
            return manifest
        manifest = in_file("manifests/" + name, read)
        return self.assembled(manifest) if "index" in manifest else manifest

    def assembled(self, root):
        """A checkpoint of several ranks as one manifest: manifest.md, "Checkpoints of several ranks"."""
        folder = f"parts/{root['run']}-{root['step']:020}-{root['id']}"
        manifest = {**root, "world_size": 1, "tensors": [{**t, "shards": []} for t in root["tensors"]]}
        manifest.update(segments=[], blocks=[], chunks=[], objects=[])
        parts, firsts = [], []
        for rank, expected in enumerate(root["parts"]):
            name = f"{folder}/{rank:05}-{root['world_size']:06}.part"
            part = in_file(name, lambda: self.part(name, rank, expected, root))
            segments, blocks = len(manifest["segments"]), len(manifest["blocks"])
            parts.append(part), firsts.append(len(manifest["chunks"]))
            manifest["segments"] += part["segments"]
            manifest["blocks"] += [{**b, "segment": b["segment"] + segments, "base": b["base"] if b["base"] == NO_BASE
                                    else b["base"] + blocks} for b in part["blocks"]]
            manifest["chunks"] += [{**c, "block": c["block"] + blocks} for c in part["chunks"]]

        def moved(where, rank):
            return {**where, "first": where["first"] + firsts[rank]}

        name = f"{folder}/{root['index']['hash']}.index"
        for first, last, tensor, rank, record, shard in in_file(name, lambda: self.index(name, root)):
            whole, held = manifest["tensors"][tensor], parts[rank]["tensors"]
            need(record < len(held) and shard < len(held[record]["shards"]), None, "the index names no shard")
            held = held[record]
            need(all(held[key] == whole[key] for key in ("name", "type", "shape")), None, "the index names another tensor")
            found = held["shards"][shard]
            pieces = shard_pieces(found, whole["shape"])
            ends = [(p[1][0], p[1][0] + sum((e - 1) * s for e, s in zip(p[0], p[1][1]))) for p in pieces]
            need(ends and (first, last) == (min(a for a, _ in ends), max(b for _, b in ends)), None, "the index names another shard")
            whole["shards"].append(moved(found, rank))
        for tensor in manifest["tensors"]:
            pieces = [piece for shard in tensor["shards"] for piece in shard_pieces(shard, tensor["shape"])]
            check_once((run for piece in pieces for run in runs(piece)), f"tensor {tensor['name']!r:.80}: shards overlap")
            need(sum(product(piece[0]) for piece in pieces) == product(tensor["shape"]), None,
                 f"tensor {tensor['name']!r:.80}: shards do not cover the shape")
        for thing in root["objects"]:
            held = [o for o in parts[thing["rank"]]["objects"] if o["name"] == thing["name"]]
            need(held and held[0]["bytes"] == thing["bytes"], None, f"object {thing['name']!r:.80} is not in its part")
            manifest["objects"].append(moved(held[0], thing["rank"]))
        return manifest

    def part(self, name, rank, expected, root):
        data = read_bounded(os.path.join(self.path, name), MANIFEST_BYTES_MAX)
        part = parse_manifest(data)
        need(data[-16:].hex() == expected["hash"] and len(data) == expected["bytes"], None, "not the part that the checkpoint names")
        need(part["kind"] == 1 and part["rank"] == rank, None, "a part of another rank")
        need(all(part[key] == root[key] for key in ("id", "store", "run", "step", "world_size")), None, "a part of another checkpoint")
        need(all(group in root["groups"] for group in part["groups"]), None, "a group that the checkpoint does not have")
        return part

    def index(self, name, root):
        """The rows of the index, checked page by page."""
        index = root["index"]
        if not index["rows"]:
            return []
        data = read_bounded(os.path.join(self.path, name), 32 * PART_INDEX_ROWS_MAX)
        need(len(data) == 32 * index["rows"], min(len(data), 32 * index["rows"]), "the length of the index")
        size, rows = 32 * PART_INDEX_ROWS_PER_PAGE, []
        for number, page in enumerate(index["pages"]):
            part = data[number * size:(number + 1) * size]
            need(hash128(part).hex() == page["hash"], number * size, "a page does not match its hash")
            found = list(struct.iter_unpack("<QQIIII", part))
            need((found[0][2], found[0][0]) == (page["tensor"], page["first"]), number * size, "a page begins with another row")
            need(max(row[1] for row in found) == page["last"], number * size, "a page ends elsewhere")
            rows += found
        order = [(row[2], row[0], row[3], row[4], row[5]) for row in rows]
        need(all(a < b for a, b in zip(order, order[1:])), None, "rows are not in order")
        for first, last, tensor, rank, _, _ in rows:
            need(first <= last and tensor < len(root["tensors"]) and rank < root["world_size"], None, "a row out of range")
        return rows

    def find(self, ref, use):
        """Calls `use` with the manifest that `ref` means; for latest, goes back past whatever is damaged."""
        if ref in (None, "latest"):
            for name in reversed(self.names):
                try:
                    return use(self.manifest(name))
                except Bad as bad:
                    print(f"{bad.error} {bad.file} {bad.offset}: {bad.message}; trying the one before", file=sys.stderr)
            raise Bad("damage", None, "no whole checkpoint in the store", "manifests")
        if ref.isascii() and ref.isdigit():
            for name in reversed(self.names):
                if int(MANIFEST_NAME.fullmatch(name)[2]) == int(ref):
                    return use(self.manifest(name))
        found = []
        for name in self.names:
            try:
                manifest = self.manifest(name)
            except Bad:
                continue
            if manifest["id"].startswith(ref):
                found.append(manifest)
        if len(found) != 1:
            raise SystemExit(f"{len(found)} checkpoints match {ref!r}")
        return use(found[0])


class Content:
    """The bytes of one checkpoint. Restore goes through the manifest alone: no segment header, index or trailer."""

    def __init__(self, store, manifest):
        self.store, self.manifest = store, manifest
        self.latest = (None, b"")

    def block(self, number):
        if self.latest[0] != number:
            block = self.manifest["blocks"][number]
            name = segment_name(self.manifest["segments"][block["segment"]])

            base = None if block["base"] == NO_BASE else bytes(self.block(block["base"]))

            def read():
                with open(os.path.join(self.store.path, name), "rb") as file:
                    return check_block(block, os.pread(file.fileno(), block["storedBytes"], block["offset"]), base)
            self.latest = (number, in_file(name, read))
        return self.latest[1]

    def chunk(self, number):
        row = self.manifest["chunks"][number]
        raw = memoryview(self.block(row["block"]))[row["offset"]:row["offset"] + row["bytes"]]
        if hash128(raw).hex() != row["hash"]:
            block = self.manifest["blocks"][row["block"]]
            name = segment_name(self.manifest["segments"][block["segment"]])
            raise Bad("damage", block["offset"], f"chunk {number} does not match its hash", name)
        return raw

    def pieces(self, where):
        for number in range(where["first"], where["first"] + where["count"]):
            yield self.chunk(number)

    def tensor(self, tensor):
        """The tensor's row-major bytes, piece by piece; assembled in memory if it is not one box."""
        if len(tensor["shards"]) == 1 and "pieces" not in tensor["shards"][0]:
            yield from self.pieces(tensor["shards"][0])
            return
        shape, bits = tensor["shape"], BITS[tensor["type"]]
        whole = bytearray(product(shape) * bits // 8)
        for shard in tensor["shards"]:
            data = b"".join(self.pieces(shard))
            for extents, (offset, strides), (local, steps) in shard_pieces(shard, shape):
                is_row = bool(extents) and strides[-1] == steps[-1] == 1
                run = extents[-1] if is_row else 1
                outer = extents[:-1] if is_row else extents
                for index in itertools.product(*map(range, outer)):
                    to = (offset + sum(i * s for i, s in zip(index, strides))) * bits // 8
                    at = (local + sum(i * s for i, s in zip(index, steps))) * bits // 8
                    size = run * bits // 8
                    whole[to:to + size] = data[at:at + size]
        yield bytes(whole)

    def object(self, thing):
        data = b"".join(self.pieces(thing))
        value = parse_json(data, f"object {thing['name']!r:.80}", False) if thing["encoding"] == "json" else None
        return data, value


def describe(store, manifest, out=None):
    """What --json prints. With `out`, each tensor's bytes go to a numbered file; a name never becomes a path."""
    content, tensors, objects = Content(store, manifest), [], []
    for number, tensor in enumerate(manifest["tensors"]):
        digest = xxhash.xxh3_128()
        file = open(os.path.join(out, f"{number:05}.bin"), "wb") if out else None
        for piece in content.tensor(tensor):
            digest.update(piece)
            if file:
                file.write(piece)
        if file:
            file.close()
        row = {key: tensor[key] for key in ("name", "type", "shape", "role")}
        tensors.append({**row, "digest": digest.hexdigest(), **({"file": f"{number:05}.bin"} if out else {})})
    for thing in manifest["objects"]:
        data, value = content.object(thing)
        row = {key: thing[key] for key in ("name", "role", "encoding", "bytes")}
        row["digest"] = hash128(data).hex()
        if thing["encoding"] == "json":
            row["value"] = value
        objects.append(row)
    return {**{key: manifest[key] for key in ("id", "run", "step", "metrics")}, "tensors": tensors, "objects": objects}


# ---- verify ---------------------------------------------------------------------------------------------------------


def verify(path):
    count = 0

    def finding(bad):
        nonlocal count
        count += 1
        print(f"{bad.error} {bad.file} {'-' if bad.offset is None else bad.offset} {bad.message}")

    try:
        store = Store(path)
    except Bad as bad:
        finding(bad)
        return 1
    segments, named, clean = {}, set(), True
    for name in store.list("manifests"):
        if not is_manifest_name(name):
            print(f"note manifests/{name!r} - not a name of this store")
    for name in store.list("segments"):
        if not SEGMENT_NAME.fullmatch(name):
            print(f"note segments/{name!r} - not a name of this store")
            continue
        try:
            segments["segments/" + name] = in_file("segments/" + name, lambda: verify_segment(store, name, finding))
        except Bad as bad:
            segments["segments/" + name] = None
            finding(bad)
    for name in store.names:
        try:
            manifest = store.manifest(name)
            verify_manifest(store, name, manifest, segments, finding)
            named.update(map(segment_name, manifest["segments"]))
        except Bad as bad:
            clean = False
            finding(bad)
    for name in sorted(set(segments) - named) if clean else ():
        print(f"note {name} - named by no manifest")
    return 1 if count else 0


def verify_segment(store, name, finding):
    def located(bad):
        bad.file = "segments/" + name
        finding(bad)
    with open(os.path.join(store.path, "segments", name), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        need(size > 0, 0, "file length 0: truncated")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return parse_segment(data, name, located)


def by_offset(segment, offset):
    """The rows of a segment's index at an offset: one or none."""
    if "byOffset" not in segment:
        segment["byOffset"] = {block["offset"]: block for block in segment["blocks"]}
    return [segment["byOffset"][offset]] if offset in segment["byOffset"] else []


def verify_manifest(store, name, manifest, segments, finding):
    """The manifest against its segments, then every block and chunk, then every object's JSON."""
    for row in manifest["segments"]:
        file = segment_name(row)
        if file not in segments:
            finding(Bad("damage", None, "missing; named by manifests/" + name, file))
            continue
        size = os.path.getsize(os.path.join(store.path, file))
        if size != row["fileBytes"]:
            finding(Bad("damage", min(size, row["fileBytes"]), f"file length expected {row['fileBytes']}, found {size}", file))
        elif (segment := segments[file]) and segment["trailerHash"] != row["trailerHash"]:
            finding(Bad("damage", size - 16, "trailer hash is not that of manifests/" + name, file))
    for block in manifest["blocks"]:
        if block["codec"] in CASTS:
            continue
        file = segment_name(manifest["segments"][block["segment"]])
        fields = ("offset", "storedBytes", "rawBytes", "storedHash", "codec")
        if segments.get(file) and {key: block[key] for key in fields} not in by_offset(segments[file], block["offset"]):
            finding(Bad("damage", block["offset"], f"block is not in the index as manifests/{name} has it", file))
    users = {}  # chunk row -> who needs it
    for tensor in manifest["tensors"]:
        for shard in tensor["shards"]:
            users.update((n, f"tensor {tensor['name']!r:.80}") for n in range(shard["first"], shard["first"] + shard["count"]))
    for thing in manifest["objects"]:
        users.update((n, f"object {thing['name']!r:.80}") for n in range(thing["first"], thing["first"] + thing["count"]))
    content, hurt = Content(store, manifest), {}
    for number in sorted(range(len(manifest["chunks"])), key=lambda n: manifest["chunks"][n]["block"]):
        try:
            content.chunk(number)
        except Bad as bad:
            hurt.setdefault((bad.file, bad.offset, bad.message), []).append(users.get(number, f"chunk {number}"))
    for (file, offset, message), who in hurt.items():
        finding(Bad("damage", offset, f"{message}; manifests/{name} loses {', '.join(dict.fromkeys(who))}", file))
    for thing in manifest["objects"] if not hurt else ():
        in_file("manifests/" + name, lambda: content.object(thing))


# ---- command line ---------------------------------------------------------------------------------------------------


def decode_vector(stored, name):
    """The stored bytes of one block, for the codec, the size and perhaps the base of `name`: CODEC:RAWBYTES[:BASE]."""
    codec, raw_bytes, *base = name.split(":")
    try:
        return decode(int(codec), stored, int(raw_bytes), bytes.fromhex(base[0]) if base else None)
    except ValueError as error:
        raise Bad("damage", None, str(error)) from None


def vector(kind, path, name=None):
    """Exit code and what to print for one file of the golden vectors."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        if kind == "store":
            return 0, parse_store(data)
        if kind == "manifest":
            return 0, parse_manifest(data)
        if kind == "block":
            return 0, {"digest": hash128(decode_vector(data, name)).hex()}
        return 0, parse_segment(data, name or os.path.basename(path))
    except Bad as bad:
        return 1, {"error": bad.error, "offset": bad.offset, "message": bad.message}


def main(arguments):
    parser = argparse.ArgumentParser(description="Independent reader of ckpt stores.")
    parser.add_argument("store", nargs="?")
    parser.add_argument("ref", nargs="?")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--vector", nargs=2, metavar=("KIND", "FILE"))
    parser.add_argument("--as", dest="name", help="the file name that a segment is read as; CODEC:RAWBYTES[:BASE] of a block")
    options = parser.parse_args(arguments)
    if options.vector:
        if options.vector[0] not in ("store", "segment", "manifest", "block"):
            parser.error("KIND is store, segment, manifest or block")
        if options.vector[0] == "block" and not re.fullmatch(r"[0-4]:[0-9]{1,8}(:([0-9a-f]{2})*)?", options.name or ""):
            parser.error("a block needs --as CODEC:RAWBYTES[:BASE]")
        code, value = vector(*options.vector, options.name)
        print(json.dumps(value))
        return code
    if not options.store or options.json + options.verify + bool(options.out) != 1:
        parser.error("a store, and one of --json, --out, --verify")
    if options.verify:
        return verify(options.store)
    try:
        store = Store(options.store)
        if options.out:
            os.makedirs(options.out, exist_ok=True)
        result = store.find(options.ref, lambda manifest: describe(store, manifest, options.out))
    except Bad as bad:
        print(f"{bad.error} {bad.file} {'-' if bad.offset is None else bad.offset} {bad.message}", file=sys.stderr)
        return 1
    if options.out:
        with open(os.path.join(options.out, "index.json"), "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    else:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
