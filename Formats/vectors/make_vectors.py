#!/usr/bin/python3
"""Makes the golden vectors: a writer of the format in Python, written from Formats/ alone, sharing code with nobody.

    make_vectors.py           writes the vectors that are not there yet; fails if one that is there would change
    make_vectors.py --check   writes nothing, says what would be new or different

Vectors only grow, so a change here may add files and must leave every existing one as it is. Needs python3-xxhash,
python3-zstandard and python3-lz4, and makes the same bytes with the same versions of them.
"""

import json
import os
import struct
import sys
from fractions import Fraction

import lz4.block
import xxhash
import zstandard

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = {}  # path under HERE -> bytes
RAW, LZ4, ZSTD, PLANES, DELTA, CAST_BF16, CAST_F16 = range(7)
NO_BASE = 0xFFFFFFFF
WIDTHS = dict(f64=8, f32=4, f16=2, bf16=2, f8e4m3=1, f8e5m2=1, i64=8, i32=4, i16=2, i8=1, u64=8, u32=4, u16=2, u8=1, bool=1)


def hash128(data):
    return xxhash.xxh3_128_digest(data)


def make_id(label):
    return hash128(b"vector id " + label.encode())


STORE, ATTEMPT, RUN = make_id("store"), make_id("attempt"), bytes.fromhex("0193a5b2c4d0") + make_id("run")[6:]
CREATED = 1733000000000


def noise(count, label):
    """Bytes that do not compress: a chain of hashes."""
    out = b""
    while len(out) < count:
        out += hash128(out[-16:] + label.encode())
    return out[:count]


def pattern(count, label):
    """Bytes that compress well."""
    return (noise(48, label) * (count // 48 + 1))[:count]


def patch(data, offset, new):
    return data[:offset] + new + data[offset + len(new):]


def flip(data, offset, bit=1):
    return patch(data, offset, bytes([data[offset] ^ bit]))


def padded(data, to=4096):
    return data + bytes(-len(data) % to)


# ---- segments -------------------------------------------------------------------------------------------------------


def zstd_frame(raw, window=0x68, header=b"", descriptor=0x00):
    """A frame made by hand: one raw block. 0x68 is a window of 2^(10 + 13) bytes: 8 MiB."""
    block = struct.pack("<I", len(raw) << 3 | 1)[:3] + raw
    return b"\x28\xb5\x2f\xfd" + bytes([descriptor]) + (b"" if window is None else bytes([window])) + header + block


def encode(codec, raw):
    if codec == LZ4:
        return lz4.block.compress(raw, store_size=False)
    if codec == ZSTD:
        return zstandard.ZstdCompressor(level=3).compress(raw)
    return raw


class Block:
    """One block; `stored` may be given to say something that no encoder says."""

    def __init__(self, codec, raw, stored=None):
        self.codec, self.raw = codec, raw
        self.stored = encode(codec, raw) if stored is None else stored
        self.hash = xxhash.xxh3_64_intdigest(self.stored)
        self.offset = None

    def row(self):
        return struct.pack("<QIIQB7x", self.offset, len(self.stored), len(self.raw), self.hash, self.codec)


def segment(blocks, rank=0, number=0, attempt=ATTEMPT):
    """The bytes of a segment; gives each block its offset."""
    header = b"CKPTSEGM" + struct.pack("<HHIII", 1, 0, rank, number, 0) + STORE + attempt
    header = header.ljust(4080, b"\0")
    data = header + hash128(header)
    for block in blocks:
        block.offset = len(data)
        data = padded(data + block.stored)
    index = len(data)
    data += b"".join(block.row() for block in blocks)
    data = padded(data + bytes(64))[:-64]
    data += b"CKPTSEGE" + struct.pack("<HHIQQ", 1, 0, len(blocks), index, len(data) + 64) + bytes(16)
    return data + hash128(data[index:])


def segment_name(attempt=ATTEMPT, rank=0, number=0):
    return f"{attempt.hex()}-{rank:05}-{number:05}.segment"


def rehash_segment(data, index):
    """Makes both hashes right again after a change."""
    data = patch(data, 4080, hash128(data[:4080]))
    return data[:-16] + hash128(data[index:-16])


# ---- manifests ------------------------------------------------------------------------------------------------------


class Manifest:
    """Rows as lists of tuples in the order of the tables; `text` is the JSON as an object."""

    def __init__(self, **changes):
        self.segments, self.blocks, self.chunks = [], [], []
        self.text = {"id": ATTEMPT.hex(), "store": STORE.hex(), "run": RUN.hex(), "run_name": "vectors", "step": 1000,
                     "created_ms": CREATED, "writer": "make_vectors.py", "parent": None, "world_size": 1, "rank": 0,
                     "metrics": {}, "groups": [{"name": "all", "epoch": 7}], "tensors": [], "objects": [], "parts": []}
        self.text.update(changes)
        self.kind, self.required, self.optional, self.raw_text = 0, 0, 0, None

    def add_segment(self, data, attempt=ATTEMPT, rank=0, number=0):
        self.segments.append((attempt, rank, number, len(data), data[-16:]))

    def add_block(self, block, which=0):
        self.blocks.append((which, block.codec, block.offset, len(block.stored), len(block.raw), block.hash, NO_BASE))
        return len(self.blocks) - 1

    def add_delta(self, block, base, which=0):
        row = self.add_block(block, which)
        self.blocks[row] = (*self.blocks[row][:6], base)
        return row

    def add_cast(self, codec, size, base, offset):
        self.blocks.append((self.blocks[base][0], codec, offset, 0, size, 0, base))
        return len(self.blocks) - 1

    def add_chunk(self, raw, block, offset, epoch=7):
        self.chunks.append((hash128(raw), block, offset, len(raw), epoch))
        return len(self.chunks) - 1

    def add_tensor(self, name, kind, shape, first, count, role="parameter", group=0):
        shard = {"offset": [0] * len(shape), "extent": shape, "first": first, "count": count}
        self.text["tensors"].append({"name": name, "type": kind, "shape": shape, "role": role, "group": group,
                                     "shards": [shard]})
        return self.text["tensors"][-1]

    def add_object(self, name, role, encoding, size, first, count):
        self.text["objects"].append({"name": name, "role": role, "encoding": encoding, "bytes": size, "first": first,
                                     "count": count})

    def json(self):
        return self.raw_text if self.raw_text is not None else json.dumps(self.text, ensure_ascii=False, separators=(",", ":")).encode()

    def places(self):
        """Offsets of the padding, the three tables and the hash."""
        pad = 64 + len(self.json())
        segments = (pad + 7) // 8 * 8
        blocks = segments + 48 * len(self.segments)
        chunks = blocks + 40 * len(self.blocks)
        return pad, segments, blocks, chunks, chunks + 32 * len(self.chunks)

    def data(self):
        text = self.json()
        body = padded(text, 8)
        body += b"".join(struct.pack("<16sIIQ16s", *row) for row in self.segments)
        body += b"".join(struct.pack("<IBBHQIIQII", s, c, 0, 0, *rest, 0) for s, c, *rest in self.blocks)
        body += b"".join(struct.pack("<16sIIII", *row) for row in self.chunks)
        head = b"CKPTMANI" + struct.pack("<HBBIIIIIIIQ16x", 1, self.kind, 0, self.required, self.optional, len(text),
                                         len(self.segments), len(self.blocks), len(self.chunks), 0, 64 + len(body) + 16)
        return rehash_manifest(head + body + bytes(16))

    def expect(self):
        rows = {"segments": [dict(attempt=a.hex(), rank=r, number=n, fileBytes=f, trailerHash=h.hex())
                             for a, r, n, f, h in self.segments],
                "blocks": [dict(segment=s, codec=c, offset=o, storedBytes=b, rawBytes=r, storedHash=f"{h:016x}", base=e)
                           for s, c, o, b, r, h, e in self.blocks],
                "chunks": [dict(hash=h.hex(), block=b, offset=o, bytes=n, epoch=e) for h, b, o, n, e in self.chunks]}
        rows["tensors"] = [{key: t[key] for key in ("name", "type", "shape")} for t in self.text["tensors"]]
        rows["objects"] = [{key: o[key] for key in ("name", "role", "encoding", "bytes")} for o in self.text["objects"]]
        rows["optionalFeatures"] = self.optional
        if "origin" in self.text:
            rows["origin"] = self.text["origin"]
        if "transfer_check" in self.text:
            rows["transfer_check"] = self.text["transfer_check"]
        return {**{key: self.text[key] for key in ("id", "run", "step", "metrics")}, **rows}


def rehash_manifest(data):
    return data[:-16] + hash128(data[:-16])


# ---- store.json -----------------------------------------------------------------------------------------------------


def store_text(store=STORE, **changes):
    fields = {"format": "ckpt-store", "version": 1, "id": store.hex(), "created_ms": CREATED, "required_features": [],
              "optional_features": []}
    fields.update(changes)
    values = [",".join(v) if isinstance(v, list) else str(v) for v in fields.values()]
    fields.setdefault("check", hash128("".join(v + "\n" for v in values).encode()).hex())
    return fields


def store_json(**changes):
    return json.dumps(store_text(**changes), indent=1).encode() + b"\n"


# ---- putting vectors down -------------------------------------------------------------------------------------------


def put(path, data):
    assert path not in FILES, path
    FILES[path] = data if isinstance(data, bytes) else (json.dumps(data, indent=1 if "expect" in path else None) + "\n").encode()


def valid(name, kind, data, expect, file=None):
    put(f"valid/{name}.bin", data)
    put(f"valid/{name}.json", {"kind": kind, **({"file": file} if file else {}), "expect": expect})


def invalid(name, kind, data, error, offset, why, file=None):
    file = {"file": file or segment_name()} if kind == "segment" else {}
    put(f"invalid/{name}.bin", data)
    put(f"invalid/{name}.json", {"kind": kind, **file, "error": error, "offset": offset, "why": why})


def damage(name, kind, data, offset, why, file=None):
    invalid(name, kind, data, "damage", offset, why, file)


def refused(name, kind, data, offset, why, file=None):
    invalid(name, kind, data, "unsupported", offset, why, file)


# ---- the vectors of store.json --------------------------------------------------------------------------------------


def make_store_vectors():
    for name, changes in {"store-plain": {}, "store-optional-feature": {"optional_features": ["future-hint", "x9"]}}.items():
        valid(name, "store", store_json(**changes), store_text(**changes))
    extra = {**store_text(), "unknown_key": {"nested": [1.5, None, True]}}
    valid("store-unknown-key", "store", json.dumps(extra).encode(), store_text())
    order = dict(reversed(store_text().items()))
    valid("store-keys-in-another-order", "store", json.dumps(order).encode(), store_text())

    plain = store_json()
    damage("store-format", "store", store_json(format="ckpt-other"), None, "format is not ckpt-store; the check is right")
    damage("store-version-0", "store", store_json(version=0), None, "version 0; the check is right")
    refused("store-version-2", "store", store_json(version=2), None, "a later version; the check is right")
    refused("store-required-feature", "store", store_json(required_features=["parts", "not-yet-known"]), None,
            "a required feature that nobody knows; the check is right")
    refused("store-known-features", "store", store_json(required_features=["cast", "alias"]), None,
            "features that version 1 knows and refuses; the check is right")
    damage("store-features-check", "store", store_json(required_features=["not-yet-known"], check="0" * 32), None,
           "an unknown feature, and a check that does not match: the check comes first")
    damage("store-version-fraction", "store", json.dumps({**store_text(), "version": 1.0}).encode(), None,
           "the version is 1.0; the checked text is the same")
    damage("store-check", "store", store_json(check="0" * 31 + "1"), None, "check does not match")
    damage("store-check-id", "store", plain.replace(STORE.hex().encode(), make_id("other").hex().encode()), None,
           "id changed, check left as it was")
    damage("store-check-upper-case", "store", store_json(check=store_text()["check"].upper()), None,
           "check in upper-case digits")
    damage("store-id-short", "store", store_json(id=STORE.hex()[:-1]), None, "id of 31 digits; the check is right")
    damage("store-id-upper-case", "store", store_json(id="ABCDEF" + STORE.hex()[6:]), None,
           "id in upper-case digits; the check is right")
    damage("store-feature-name", "store", store_json(optional_features=["Not A Name"]), None,
           "feature name outside [a-z0-9-]; the check is right")
    damage("store-feature-name-long", "store", store_json(optional_features=["a" * 65]), None, "feature name of 65 bytes")
    damage("store-too-many-features", "store", store_json(optional_features=[f"f{n}" for n in range(65)]), None,
           "65 feature names")
    damage("store-truncated", "store", plain[:-20], None, "cut short")
    damage("store-empty", "store", b"", None, "no bytes at all")
    damage("store-array", "store", b"[" + plain + b"]", None, "an array, not an object")
    damage("store-trailing", "store", plain + b"{}", None, "bytes after the object")
    damage("store-not-utf-8", "store", plain.replace(b"{", b'{"x": "\xff",', 1), None, "a byte that is not UTF-8")
    for key in store_text():
        text = {k: v for k, v in store_text().items() if k != key}
        damage(f"store-without-{key.replace('_', '-')}", "store", json.dumps(text).encode(), None, f"no key {key}")
    damage("store-created-string", "store", json.dumps({**store_text(), "created_ms": str(CREATED)}).encode(), None,
           "created_ms is a string; the checked text is the same")
    damage("store-features-string", "store", json.dumps({**store_text(), "required_features": ""}).encode(), None,
           "required_features is a string; the checked text is the same")


# ---- the vectors of segments ----------------------------------------------------------------------------------------


def valid_segment(name, blocks, rank=0, number=0):
    data = segment(blocks, rank, number)
    expect = {"rank": rank, "number": number, "attempt": ATTEMPT.hex(), "store": STORE.hex(), "fileBytes": len(data),
              "trailerHash": data[-16:].hex(),
              "blocks": [dict(offset=b.offset, storedBytes=len(b.stored), rawBytes=len(b.raw),
                              storedHash=f"{b.hash:016x}", codec=b.codec) for b in blocks]}
    valid(name, "segment", data, expect, segment_name(ATTEMPT, rank, number))
    return data


def make_segment_vectors():
    """Small on purpose: each fault in the smallest file that can have it, two pages where no block is needed."""
    valid_segment("segment-empty", [])
    valid_segment("segment-raw", [Block(RAW, noise(100, "small"))], 3, 17)
    valid_segment("segment-three-codecs", [Block(RAW, noise(4096, "r")), Block(LZ4, pattern(5000, "l")),
                                           Block(ZSTD, pattern(9000, "z"))])
    u32 = lambda value: struct.pack("<I", value)
    u64 = lambda value: struct.pack("<Q", value)

    empty, trailer = segment([]), 8192 - 64
    def bad(name, offset, new, why, at=...):
        data = rehash_segment(patch(empty, offset, new), 4096)
        damage("segment-" + name, "segment", data, offset if at is ... else at, why + "; the hash is right")

    bad("header-magic", 0, b"CKPTSEGX", "wrong magic")
    both = patch(patch(empty, 8, b"\2\0"), trailer + 8, b"\2\0")
    refused("segment-version-2", "segment", rehash_segment(both, 4096), 8, "a later version, in header and trailer")
    both = patch(patch(empty, 8, b"\0\0"), trailer + 8, b"\0\0")
    damage("segment-version-0", "segment", rehash_segment(both, 4096), 8, "version 0, in header and trailer")
    bad("header-reserved0", 10, b"\1", "reserved0 set")
    bad("header-reserved1", 20, b"\1", "reserved1 set")
    bad("header-padding", 56, b"\1", "first byte of the padding set")
    damage("segment-header-hash", "segment", flip(empty, 4080), 4080, "a bit of the header's hash flipped")
    damage("segment-name-rank", "segment", empty, 12, "named for rank 1", segment_name(ATTEMPT, 1, 0))
    damage("segment-name-attempt", "segment", empty, 40, "named for another attempt", segment_name(make_id("other")))
    bad("trailer-magic", trailer, b"CKPTSEGM", "wrong magic")
    bad("trailer-version", trailer + 8, b"\0\0", "version other than the header's")
    bad("trailer-version-2", trailer + 8, b"\2\0", "a later version, in the trailer only")
    bad("header-padding-later", 77, b"\1", "a byte in the middle of the padding set")
    damage("segment-name-number", "segment", empty, 16, "named for number 2", segment_name(ATTEMPT, 0, 2))
    roomy = empty[:4096] + bytes(4096) + empty[4096:-40] + struct.pack("<Q", 12288) + empty[-32:]
    damage("segment-index-roomy", "segment", rehash_segment(roomy, 4096), 12288 - 48,
           "an index area of two pages for no rows; the hash is right")
    bad("trailer-count-more", trailer + 12, struct.pack("<I", 127), "more rows than fit the index area", trailer + 16)
    bad("trailer-reserved0", trailer + 10, b"\1", "reserved0 set")
    bad("trailer-count-max", trailer + 12, b"\xff\xff\xff\xff", "blockCount above its limit")
    damage("segment-trailer-index-huge", "segment", patch(empty, trailer + 16, u64(2**64 - 4096)), trailer + 16,
           "indexOffset so large that its end overflows 64 bits")
    bad("trailer-bytes", trailer + 24, u64(12288), "fileBytes larger than the file")
    bad("trailer-reserved1", trailer + 32, b"\1", "reserved1 set")
    damage("segment-trailer-hash", "segment", flip(empty, 8191), 8192 - 16, "a bit of the trailer's hash flipped")
    for name, end in {"nothing": 0, "magic": 7, "in-header": 4095, "in-trailer": 8191}.items():
        damage(f"segment-cut-{name}", "segment", empty[:end], end, f"only the first {end} bytes")
    damage("segment-cut-after-header", "segment", empty[:4096], None, "only the header page")

    bad("index-padding", 4096, b"\1", "the first byte after the rows set")
    for name, offset in (("outside", 4096), ("huge", 2**64 - 4096)):
        row = struct.pack("<QIIQB7x", offset, 100, 100, 0, RAW)
        data = patch(patch(empty, 4096, row), trailer + 12, u32(1))
        damage(f"segment-row-offset-{name}", "segment", rehash_segment(data, 4096), 4096,
               f"a block at {offset}, where the index begins or beyond; the hash is right")

    block = Block(RAW, noise(100, "small"))
    one, index = segment([block]), 8192

    def bad(name, offset, new, why, at=...):
        data = rehash_segment(patch(one, offset, new), index)
        damage("segment-" + name, "segment", data, offset if at is ... else at, why + "; the hash is right")

    bad("row-stored-zero", index + 8, bytes(4), "storedBytes 0")
    bad("row-raw-zero", index + 12, bytes(4), "rawBytes 0")
    bad("row-reserved-last", index + 31, b"\1", "last reserved byte set")
    bad("index-padding-later", index + 50, b"\1", "a byte in the middle of the padding set")
    bad("block-padding-last", index - 1, b"\1", "the last byte before the index set")
    late = patch(one[:8192] + bytes(4096) + one[8192:], 12288, struct.pack("<Q", 8192))
    late = patch(late, len(late) - 48, struct.pack("<QQ", 12288, len(late)))
    damage("segment-row-gap", "segment", rehash_segment(late, 12288), 12288,
           "a page of zeros before the first block; the hash is right")
    bad("row-raw-codec", index + 12, u32(101), "codec raw, storedBytes is not rawBytes", index + 8)
    bad("row-stored-hash", index + 16, bytes([one[index + 16] ^ 1]), "a bit of the storedHash flipped", 4096)
    damage("segment-codec-cast", "segment", rehash_segment(patch(one, index + 24, b"\x05"), index), index + 24,
           "a cast in a segment; the hash is right")
    refused("segment-codec-63", "segment", rehash_segment(patch(one, index + 24, b"\x3f"), index), index + 24, "codec 63")
    bad("row-reserved", index + 25, b"\1", "first reserved byte set")
    bad("block-padding", 4096 + 100, b"\1", "the first byte after the block set")
    overlap = patch(patch(one, index + 32, block.row()), len(one) - 64 + 12, u32(2))
    damage("segment-row-overlap", "segment", rehash_segment(overlap, index), index + 32,
           "a second row for the same block; the hash is right")


def make_block_vectors():
    """The stored bytes of one block: a codec must give exactly `rawBytes` bytes, or fail."""
    raw = pattern(600, "codec")
    packed, frame = encode(LZ4, raw), encode(ZSTD, raw)
    streamed = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=False).compress(raw)
    skippable = b"\x50\x2a\x4d\x18\4\0\0\0abcd"
    rle = b"\x28\xb5\x2f\xfd\0\x68" + b"\2\0\x10\0" * 63 + b"\3\0\x10\0"  # 64 RLE blocks of 128 KiB of zeros

    good = {
        "raw": (RAW, raw, raw),
        "lz4": (LZ4, raw, packed),
        "lz4-literals": (LZ4, b"abcd", b"\x40abcd"),
        "zstd": (ZSTD, raw, frame),
        "zstd-streamed": (ZSTD, raw, streamed),  # a checksum and no content size
        "zstd-window-8-mib": (ZSTD, raw, zstd_frame(raw)),
        "zstd-window-64-mib": (ZSTD, raw, zstd_frame(raw, window=0x80)),
    }
    for name, (codec, raw_bytes, stored) in good.items():
        put(f"valid/block-{name}.bin", stored)
        put(f"valid/block-{name}.json", {"kind": "block", "codec": codec, "rawBytes": len(raw_bytes),
                                         "expect": {"digest": hash128(raw_bytes).hex()}})
    wrong = {
        "raw-short": (RAW, 601, raw, "fewer stored bytes than rawBytes"),
        "lz4-short": (LZ4, 601, packed, "decodes to fewer bytes than rawBytes"),
        "lz4-long": (LZ4, 599, packed, "decodes to more bytes than rawBytes"),
        "lz4-cut": (LZ4, 600, packed[:-3], "cut short"),
        "lz4-left-over": (LZ4, 600, packed + b"\0\0", "stored bytes left over"),
        "lz4-far-match": (LZ4, 24, b"\x10\x41\xff\xff\x80" + b"\0" * 8, "a match before the start of the output"),
        "lz4-offset-zero": (LZ4, 24, b"\x10\x41\0\0\x80" + b"\0" * 8, "a match at distance 0"),
        "lz4-frame": (LZ4, 4, b"\x04\x22\x4d\x18\x60\x40\x82\x04\0\0\x80abcd\0\0\0\0", "the frame format"),
        "zstd-not": (ZSTD, 600, noise(50, "not a frame"), "not a Zstandard frame"),
        "zstd-cut": (ZSTD, 600, frame[:-1], "frame cut short"),
        "zstd-header-only": (ZSTD, 600, frame[:6], "nothing but the start of the frame's header"),
        "zstd-left-over": (ZSTD, 600, frame + b"\0", "a stored byte left over"),
        "zstd-two-frames": (ZSTD, 1200, frame + frame, "two frames"),
        "zstd-skippable-last": (ZSTD, 600, frame + skippable, "a skippable frame after the frame"),
        "zstd-skippable-first": (ZSTD, 600, skippable + frame, "a skippable frame before the frame"),
        "zstd-content-size": (ZSTD, 601, frame, "the content size is not rawBytes"),
        "zstd-short": (ZSTD, 601, zstd_frame(raw), "no content size; decodes to fewer bytes"),
        "zstd-long": (ZSTD, 599, zstd_frame(raw), "no content size; decodes to more bytes"),
        "zstd-window-72-mib": (ZSTD, 600, zstd_frame(raw, window=0x81), "a window of 72 MiB"),
        "zstd-window-128-mib": (ZSTD, 600, zstd_frame(raw, window=0x88), "a window of 128 MiB"),
        "zstd-skippable-alone": (ZSTD, 600, skippable, "nothing but a skippable frame"),
        "zstd-dictionary": (ZSTD, 600, zstd_frame(raw, header=b"\7", descriptor=0x01), "names dictionary 7"),
        "zstd-block-type": (ZSTD, 8, b"\x28\xb5\x2f\xfd\0\x68\x47\0\0" + raw[:8], "a block of the reserved type"),
        "zstd-bomb": (ZSTD, 1, rle, "8 MiB from 262 bytes, for a block of one raw byte"),
        "zstd-checksum": (ZSTD, 600, streamed[:-1] + bytes([streamed[-1] ^ 1]), "the frame's own checksum does not match"),
    }
    for name, (codec, raw_bytes, stored, why) in wrong.items():
        put(f"invalid/block-{name}.bin", stored)
        put(f"invalid/block-{name}.json", {"kind": "block", "codec": codec, "rawBytes": raw_bytes, "error": "damage",
                                           "offset": None, "why": why})


# ---- the vectors of planes and deltas: a writer that follows codecs.md element by element -----------------------------


def lanes(data, width):
    return [int.from_bytes(data[i:i + width], "little") for i in range(0, len(data) // width * width, width)]


def residual_of(kind, x, b, bits):
    mask = 2**bits - 1
    zigzag = lambda d: 2 * d & mask if d >> (bits - 1) == 0 else ~(2 * d) & mask
    ordered = lambda x: x if x >> (bits - 1) == 0 else x ^ (mask >> 1)
    return [x, x ^ b, zigzag(x - b & mask), zigzag(ordered(x) - ordered(b) & mask)][kind]


def split(raw, width, rotated=0, residual=0, base=None, keys=None):
    """The byte planes of the elements."""
    bits, base = 8 * width, base or bytes(len(raw))
    values = [residual_of(residual, x, b, bits) for x, b in zip(lanes(raw, width), lanes(base, width))]
    if keys:  # sorting the values sorts elements and base alike
        values = [value for _, value in sorted(zip(keys, values), key=lambda pair: pair[0])]
    if rotated:
        values = [(y << rotated | y >> (bits - rotated)) & 2**bits - 1 for y in values]
    return [bytes(y >> (8 * p) & 255 for y in values) for p in range(width)]


def top(plane, bits, inner=0):
    """Mode 3."""
    escape = 2**bits - 1
    table = bytes(sorted(range(256), key=lambda b: (-plane.count(b), b))[:escape])
    codes = [table.find(byte) if byte in table else escape for byte in plane]
    words = b"".join(struct.pack("<Q", sum((code >> j & 1) << i for i, code in enumerate(codes[at:at + 64])))
                     for at in range(0, len(codes), 64) for j in range(bits))
    escapes = bytes(byte for byte, code in zip(plane, codes) if code == escape)
    return table + words + (struct.pack("<I", len(escapes)) + top(escapes, inner) if inner else escapes)


def sub_block(raw, width, modes, rotated=0, residual=0, base=None, order=None):
    """A mode is 0, 1, 2, or (3, bits) or (3, bits, inner) of a plane. An order is "base", or (columns, first, bytes of columns, bytes of rows)."""
    word = len(raw) | {1: 0, 2: 1, 4: 2, 8: 3}[width] << 24 | (rotated & 1) << 26 | residual << 27 | rotated >> 1 << 29 | bool(order) << 31
    rows, payloads, keys, more = b"", b"", None, []
    if order == "base":
        keys = [b >> (8 * width - 9) & 255 for b in lanes(base, width)]
    elif order:
        columns, first, *more = order
        keys = [more[0][(first + i) % columns] + more[1][(first + i) // columns] for i in range(len(raw) // width)]
        rows = struct.pack("<II", columns, first)
    for plane, mode in zip(split(raw, width, rotated, residual, base, keys) + more, modes):
        kind, bits, inner = (*mode, 0)[:3] if isinstance(mode, tuple) else (mode, 1, 0)
        assert kind or len(set(plane)) == 1
        payload = {0: lambda: plane[:1], 1: lambda: plane, 2: lambda: encode(ZSTD, plane), 3: lambda: top(plane, bits, inner)}[kind]()
        rows += struct.pack("<I", len(payload) | kind << 24 | (bits - 1) << 26 | inner << 28)
        payloads += payload
    return struct.pack("<I", word) + rows + payloads + raw[len(raw) // width * width:]


def floats(count, seed, scale=0.02):
    """Numbers of both signs that are alike in size, as binary32."""
    return b"".join(struct.pack("<f", (b - 127.5) * scale / 127.5) for b in noise(count, seed))


def make_plane_vectors():
    f32, ints = floats(150, "planes"), b"".join(struct.pack("<q", 1000 + 3 * i) for i in range(80))
    special = struct.pack("<16I", 0, 1 << 31, 1, 0x80000001, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7FC12345, 0xFFFFFFFF, 0x7F800001,
                          0x007FFFFF, 0x807FFFFF, 0x7F7FFFFF, 0xFF7FFFFF, 0x00800000, 0x3F800000)
    step = bytes(b ^ (n % 5 == 0) for n, b in enumerate(f32))
    planes = lambda *arguments, **more: (PLANES, arguments[0], sub_block(*arguments, **more), None)
    delta = lambda raw, base, *arguments, **more: (DELTA, raw, sub_block(raw, *arguments, base=base, **more), base)
    good = {
        "planes-raw": planes(f32, 4, [1, 1, 1, 1]),
        "planes-unsplit-zstd": planes(pattern(300, "text"), 1, [2]),
        "planes-constant": planes(bytes([7]) * 99, 1, [0]),
        "planes-sub-block-max": planes(bytes(524288), 1, [0]),
        "planes-rotated": planes(f32, 4, [1, 1, 1, 2], rotated=1),
        "planes-rotated-2": planes(f32, 2, [1, (3, 2)], rotated=1),
        "planes-special": planes(special, 4, [1, 1, 1, 1], rotated=1),
        "planes-tail": planes(f32[:-1], 4, [1, 1, (3, 4), (3, 3)], rotated=1),
        "planes-tail-8": planes(ints + b"1234567", 8, [1, (3, 1), 0, 0, 0, 0, 0, 0]),
        "planes-one-element": planes(b"abcdefgh", 8, [1] * 8, rotated=1),
        "planes-inner": planes(f32, 4, [(3, 1, 4), (3, 1, 1), (3, 2, 3), (3, 3, 2)], rotated=1),
        "planes-inner-empty": planes(bytes(65), 1, [(3, 1, 2)]),
        "planes-empty-top": planes(bytes(64), 1, [(3, 1)]),
        "planes-two": (PLANES, f32 + ints, sub_block(f32, 4, [1, 1, 1, (3, 4)], 1) + sub_block(ints, 8, [1, 2] + [0] * 6), None),
        "delta-none": delta(f32, step, 4, [1, 1, 1, 2], rotated=1),
        "delta-xor": delta(f32, step, 4, [(3, 1)] * 4, residual=1),
        "delta-xor-rotated": delta(f32, step, 4, [(3, 2)] * 4, rotated=1, residual=1),
        "delta-xor-unsplit": delta(f32, step, 1, [2], residual=1),
        "delta-difference": delta(ints, bytes(8) + ints[:-8], 8, [2] + [1] * 7, residual=2),
        "delta-ordered": delta(f32, step, 4, [2, 2, 2, 2], residual=3),
        "delta-ordered-special": delta(special, special[32:] + special[:32], 4, [1] * 4, residual=3),
        "delta-ordered-2": delta(special[:-1], special[1:], 2, [1, 1], residual=3),
        "delta-equal": delta(f32, f32, 4, [0] * 4, residual=3),
        "planes-rotated-3": planes(f32, 4, [2, 1, 1, 2], rotated=3),
        "planes-rotated-7": planes(f32[:-1], 2, [1, 1], rotated=7),
        "planes-sorted": planes(f32, 4, [1, 1, 1, 2, 1, 1], rotated=1, order=(30, 0, noise(30, "c"), noise(5, "r"))),
        "planes-sorted-inside": planes(f32[:-3], 4, [1, 1, 1, 2, 1, 0], order=(40, 39, noise(40, "c"), bytes([9]) * 5)),
        "planes-sorted-2": planes(f32, 2, [1, 2, 2, (3, 1)], rotated=4, order=(2, 1, b"ab", noise(151, "r"))),
        "planes-sorted-8": planes(f32, 8, [1] * 8 + [0, 0], order=(75, 74, bytes(75), bytes(2))),
        "delta-sorted": delta(f32, step, 4, [2, 2, 2, 2], residual=3, order="base"),
        "delta-sorted-xor": delta(special[:-1], special[1:], 2, [1, 1], rotated=2, residual=1, order="base"),
        "delta-sorted-grid": delta(f32, step, 4, [1, 1, 1, 2, 1, 1], rotated=1, order=(50, 7, noise(50, "c"), noise(4, "r"))),
        "delta-rotated-5": delta(f32, step, 4, [2, 2, 2, 2], rotated=5, residual=3),
    }
    for name, (codec, raw, stored, base) in good.items():
        put(f"valid/block-{name}.bin", stored)
        put(f"valid/block-{name}.json", {"kind": "block", "codec": codec, "rawBytes": len(raw),
                                         **({} if base is None else {"base": base.hex()}), "expect": {"digest": hash128(raw).hex()}})
    make_invalid_planes(f32, step)
    make_cast_vectors(f32, special)


def rounded(number, fraction_bits, exponent_min, exponent_max):
    """A binary32, given by its bits, as a float with fewer bits, by the definition: the nearest of all there are, and of two the even one."""
    sign, magnitude = number >> 31, number & 0x7FFFFFFF
    width = fraction_bits + (exponent_max - exponent_min + 2).bit_length()
    infinity = (exponent_max - exponent_min + 2) << fraction_bits
    if magnitude > 0x7F800000:
        return sign << width | infinity | 1 << (fraction_bits - 1)
    if magnitude == 0x7F800000:
        return sign << width | infinity
    exponent = max(magnitude >> 23, 1)
    value = Fraction((magnitude & 0x7FFFFF) | (0x800000 if magnitude >> 23 else 0)) * Fraction(2) ** (exponent - 150)

    def meaning(bits):  # the infinity stands for what would come next
        exponent, part = max(bits >> fraction_bits, 1), bits & (1 << fraction_bits) - 1
        whole = part | (1 << fraction_bits if bits >> fraction_bits else 0)
        return Fraction(whole) * Fraction(2) ** (exponent - 1 + exponent_min - fraction_bits)
    low, high = 0, infinity
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if meaning(middle) <= value else (low, middle)
    below, above = value - meaning(low), meaning(high) - value
    nearest = low if below < above or (below == above and low % 2 == 0) else high
    return sign << width | nearest


def cast(codec, source):
    shape = (7, -126, 127) if codec == CAST_BF16 else (10, -14, 15)
    numbers = struct.unpack(f"<{len(source) // 4}I", source)
    return struct.pack(f"<{len(numbers)}H", *(rounded(number, *shape) for number in numbers))


def make_cast_vectors(f32, special):
    ties = struct.pack("<24I", *(bits | sign for sign in (0, 1 << 31) for bits in (
        0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F801000, 0x3F803000, 0x3F800FFF, 0x477FEFFF, 0x477FF000, 0x33000000, 0x33000001,
        0x387FF000, 0x33C00000)))
    source = f32 + special + ties
    for name, codec in (("bf16", CAST_BF16), ("f16", CAST_F16)):
        raw = cast(codec, source)
        put(f"valid/block-cast-{name}.bin", b"")
        put(f"valid/block-cast-{name}.json", {"kind": "block", "codec": codec, "rawBytes": len(raw), "base": source.hex(),
                                              "expect": {"digest": hash128(raw).hex()}})
    put_invalid_block("cast-no-base", CAST_BF16, 32, b"", None, "no base")
    put_invalid_block("cast-base-short", CAST_BF16, 32, b"", special[:-4], "a base of less than twice the length")
    put_invalid_block("cast-stored", CAST_F16, 32, b"\0", special, "stored bytes")


def make_invalid_planes(f32, step):
    size = len(f32)
    whole, tops = sub_block(f32, 4, [1, 1, 1, 2], 1), sub_block(f32, 4, [1, 1, 1, (3, 3)], 1)
    inner = sub_block(f32, 1, [(3, 1, 3)])
    grid = sub_block(f32, 4, [1] * 6, order=(30, 0, noise(30, "c"), noise(5, "r")))
    delta = sub_block(f32, 4, [1, 1, 1, 1], residual=3, base=step)
    part = sub_block(f32[:130], 1, [(3, 2)])  # its last group has two bytes
    word = lambda data, at, change: patch(data, at, struct.pack("<I", struct.unpack_from("<I", data, at)[0] ^ change))
    wrong = {
        "planes-empty": (whole[:0], "no bytes at all"),
        "planes-cut-header": (whole[:3], "the header is cut short"),
        "planes-cut-rows": (whole[:19], "the rows are cut short"),
        "planes-cut-payload": (whole[:-1], "a payload is cut short"),
        "planes-left-over": (whole + b"\0", "a stored byte left over"),
        "planes-short": (sub_block(f32[:-4], 4, [1] * 4), "fewer bytes than rawBytes"),
        "planes-long": (sub_block(f32 + f32[:4], 4, [1] * 4), "more bytes than rawBytes"),
        "planes-second-long": (sub_block(f32[:400], 4, [1] * 4) + sub_block(f32[396:], 4, [1] * 4), "the second goes too far"),
        "planes-zero": (struct.pack("<II", 0, 1 | 1 << 24) + whole, "a sub-block of no bytes"),
        "planes-less-than-element": (sub_block(f32[:598], 1, [1]) + struct.pack("<3I", 2 | 2 << 24, 0, 0) + bytes(14),
                                     "two bytes of elements of four"),
        "planes-rotated-1": (word(sub_block(f32, 1, [1]), 0, 1 << 26), "bytes alone, rotated"),
        "planes-rotated-1-by-2": (word(sub_block(f32, 1, [1]), 0, 1 << 29), "bytes alone, rotated by 2"),
        "planes-sorted-1": (word(sub_block(f32, 1, [1]), 0, 1 << 31), "bytes alone, sorted"),
        "planes-sorted-columns-1": (word(grid, 4, 30 ^ 1), "one column"),
        "planes-sorted-columns-0": (word(grid, 4, 30), "no column"),
        "planes-sorted-columns-many": (word(grid, 4, 30 ^ 151), "more columns than elements"),
        "planes-sorted-columns-huge": (word(grid, 4, 30 ^ 0xFFFFFFFF), "2^32 - 1 columns"),
        "planes-sorted-first": (word(grid, 8, 30), "the first element beyond the last column"),
        "planes-sorted-rows": (word(grid, 8, 1), "one row more than there are bytes for"),
        "planes-sorted-cut-grid": (grid[:11], "the grid is cut short"),
        "planes-sorted-cut-lines": (grid[:-1], "the bytes of the rows are cut short"),
        "planes-residual": (word(whole, 0, 1 << 27), "a residual without a base"),
        "planes-row-reserved": (word(whole, 4, 1 << 31), "the reserved bit of a row set"),
        "planes-row-inner": (word(whole, 4, 1 << 28), "coded escapes of a plane that is raw"),
        "planes-row-inner-5": (word(tops, 16, 5 << 28), "codes of 5 bits for escapes"),
        "planes-inner-count": (word(inner, 8 + 1 + 8 * 10, 1), "another number of escapes than there are codes"),
        "planes-inner-huge": (word(inner, 8 + 1 + 8 * 10, 1 << 31), "2 GiB of escapes"),
        "planes-inner-cut": (struct.pack("<II", size, 1 + 80 + 3 | 3 << 24 | 3 << 28) + inner[8:8 + 84], "no room for the number"),
        "planes-row-bits": (word(whole, 4, 1 << 26), "bits of a plane that is raw"),
        "planes-constant-size": (sub_block(f32[:-4], 4, [1] * 4) + struct.pack("<II", 4, 2) + b"ab", "a constant of two bytes"),
        "planes-raw-size": (word(whole, 4, 1), "a raw plane of another size"),
        "planes-size-max": (word(whole, 16, 0xFF0000), "a payload far past the end"),
        "planes-frame-size": (sub_block(f32[:-4], 4, [1] * 4) + struct.pack("<II", 4, len(encode(ZSTD, f32)) | 2 << 24)
                              + encode(ZSTD, f32), "a frame of more bytes than its plane"),
        "planes-frame-cut": (whole[:470] + bytes([whole[470] ^ 1]) + whole[471:], "not the frame's magic"),
        "planes-frame-empty": (whole[:16] + struct.pack("<I", 2 << 24) + whole[20:470], "a frame of no bytes"),
        "planes-top-escapes-left": (tops[:16] + struct.pack("<I", struct.unpack_from("<I", tops, 16)[0] + 1)
                                    + tops[20:] + b"x", "an escape too many"),
        "planes-top-escapes-few": (tops[:16] + struct.pack("<I", struct.unpack_from("<I", tops, 16)[0] - 1) + tops[20:-1],
                                   "an escape too few"),
        "planes-top-words": (tops[:16] + struct.pack("<I", 30 | 3 << 24 | 2 << 26) + tops[20:500], "fewer words than groups"),
    }
    for name, (stored, why) in wrong.items():
        put_invalid_block(name, PLANES, size, stored, None, why)
    put_invalid_block("planes-sub-block-over", PLANES, 524289, struct.pack("<II", 524289, 1) + b"\0", None,
                      "a sub-block of a byte more than the limit")
    beyond = bytearray(part)
    beyond[8 + 3 + 8 * 5] |= 4  # bit 2 of the second word of the third group
    put_invalid_block("planes-top-beyond", PLANES, 130, bytes(beyond), None, "a bit beyond the end of the plane")
    put_invalid_block("delta-no-base", DELTA, size, delta, None, "no base")
    put_invalid_block("delta-base-short", DELTA, size, delta, step[:-1], "a base of another length")
    put_invalid_block("delta-cut", DELTA, size, delta[:-1], step, "cut short")


def put_invalid_block(name, codec, raw_bytes, stored, base, why):
    put(f"invalid/block-{name}.bin", stored)
    put(f"invalid/block-{name}.json", {"kind": "block", "codec": codec, "rawBytes": raw_bytes,
                                       **({} if base is None else {"base": base.hex()}), "error": "damage", "offset": None, "why": why})


# ---- the vectors of manifests ---------------------------------------------------------------------------------------


def full_manifest():
    """All element types, scalars, empty tensors, packed and shared chunks, several shards, objects, metrics."""
    m = Manifest(run_name="nightly", step=2**63 - 1, parent={"id": make_id("parent").hex(), "run": RUN.hex(), "step": 5},
                 metrics={"loss": 0.25, "steps_s": -1e-3, "tokens": 2**63 - 1, "grad": "nan", "max": "inf", "min": "-inf"},
                 groups=[{"name": "model", "epoch": 7}, {"name": "", "epoch": 2**32 + 1}])
    packed = b"".join(noise(2 * 3 * width, kind) for kind, width in WIDTHS.items()) + b'{"a": [1, 2]}' + b"\0\1\2"
    blocks = [Block(RAW, packed), Block(ZSTD, pattern(96, "first") + pattern(96, "second")), Block(LZ4, pattern(4096, "l"))]
    data = segment(blocks, 0, 1)
    m.add_segment(segment([]), ATTEMPT, 0, 0)
    m.add_segment(data, ATTEMPT, 0, 1)
    for block in blocks:
        m.add_block(block, 1)
    at = 0
    for kind, width in WIDTHS.items():
        m.add_tensor(f"type.{kind}", kind, [2, 3], m.add_chunk(packed[at:at + 6 * width], 0, at), 1)
        at += 6 * width
    text, tail = m.add_chunk(packed[at:at + 13], 0, at, 0), m.add_chunk(packed[at + 13:], 0, at + 13, 0)
    m.add_object("options", "config", "json", 13, text, 1)
    m.add_object("generator", "rng", "bytes", 3, tail, 1)
    m.add_object("both", "other", "bytes", 16, text, 2)
    m.add_object("nothing", "data", "bytes", 0, len(m.chunks), 0)
    m.add_tensor("scalar", "f64", [], m.add_chunk(packed[0:8], 0, 0), 1, "other")
    m.add_tensor("empty", "f32", [0, 4], 0, 0, "buffer")
    m.add_tensor("empty without shards", "i8", [3, 0], 0, 0)["shards"] = []
    raw, first = blocks[1].raw, len(m.chunks)
    for n in range(4):
        m.add_chunk(raw[48 * n:48 * n + 48], 1, 48 * n, 1)
    m.add_tensor("two shards by rows", "f32", [4, 12], 0, 0, "optimizer", 1)["shards"] = [
        {"offset": [2, 0], "extent": [2, 12], "first": first, "count": 2},
        {"offset": [0, 0], "extent": [2, 12], "first": first + 2, "count": 2}]
    m.add_tensor("three shards", "u8", [12, 12], 0, 0, "optimizer", 1)["shards"] = [
        {"offset": [0, 0], "extent": [12, 4], "first": first, "count": 1},
        {"offset": [0, 4], "extent": [6, 8], "first": first + 1, "count": 1},
        {"offset": [6, 4], "extent": [6, 8], "first": first + 2, "count": 1}]
    m.add_tensor("role of the future", "u8", [64, 64], m.add_chunk(blocks[2].raw, 2, 0), 1, "sparkle")
    return m


NAMES = ["../../etc/passwd", "/absolute", "line\nbreak", "nul\0inside", 'quote"s and \\ slashes', "\U0001f600 emoji",
         "caf\u00e9", "cafe\u0301", "\r\n", "\n", " ", "\u00e9" * 2048, "tab\t\u007f\u0085\u2028\u202e", "-rf",
         "CON", "%s%n", "ﬁ", "fi", "\ufeff"]


TYPES_OF_FEATURE = {"c128": 128, "c64": 64, "c32": 32, "bc32": 32, "f8e8m0": 8, "f8e4m3fnuz": 8, "f8e5m2fnuz": 8,
                    "f8e4m3b11fnuz": 8, "f8e4m3ieee": 8, "f8e3m4": 8, "f6e2m3": 6, "f6e3m2": 6, "f4e2m1": 4, "i4": 4,
                    "u4": 4, "i2": 2, "u2": 2, "i1": 1, "u1": 1}


def types_manifest():
    """Every element type of feature `types`; and packed ones of an odd row, without elements, and in two shards."""
    m = Manifest()
    m.required = 1 << 5
    block = Block(RAW, noise(1024, "types"))
    m.add_segment(segment([block]))
    row, at = m.add_block(block), 0

    def chunk(size):
        nonlocal at
        at += size
        return m.add_chunk(block.raw[at - size:at], row, at - size)

    for kind, bits in TYPES_OF_FEATURE.items():
        m.add_tensor("tensor of " + kind, kind, [2, 8], chunk(2 * bits), 1)
    m.add_tensor("odd rows", "f4e2m1", [2, 3], chunk(3), 1)
    m.add_tensor("empty", "u1", [3, 0], 0, 0)["shards"] = []
    m.add_tensor("two shards", "f6e3m2", [3, 12], 0, 0)["shards"] = [
        {"offset": [0, 0], "extent": [3, 8], "first": chunk(18), "count": 1},
        {"offset": [0, 8], "extent": [3, 4], "first": chunk(9), "count": 1}]
    return m


def make_valid_manifests():
    put_valid = lambda name, m: valid(name, "manifest", m.data(), m.expect())
    put_valid("manifest-minimal", Manifest(groups=[]))
    put_valid("manifest-full", full_manifest())
    m = Manifest()
    m.optional = 0x80000001
    put_valid("manifest-optional-feature", m)
    m = Manifest()
    m.required = 2  # a feature that is allowed and not made use of
    put_valid("manifest-feature-delta", m)
    m = Manifest()
    m.required = 4
    put_valid("manifest-feature-cast", m)
    put_valid("manifest-cast", cast_manifest())
    m = Manifest(unknown_key={"deep": [[], {}]})
    m.text["metrics"] = {"caf\u00e9": 1, "cafe\u0301": 2, "": 3, "../x": 4}
    block = Block(RAW, noise(64, "names"))
    m.add_segment(segment([block]))
    m.add_block(block)
    chunk, other = m.add_chunk(block.raw[:4], 0, 0), m.add_chunk(block.raw[4:8], 0, 4, 0)
    for name in NAMES:
        m.add_tensor(name, "f32", [], chunk, 1)
        if len(name) < 1000:
            m.add_object(name, "other", "bytes", 4, other, 1)
    put_valid("manifest-names", m)
    put_valid("manifest-types", types_manifest())
    m.text["tensors"] = [tensor for tensor in m.text["tensors"] if len(tensor["name"]) < 1000]
    m.raw_text = json.dumps(m.text, ensure_ascii=True, indent=2).replace("/", "\\/").encode()
    put_valid("manifest-names-escaped", m)
    m = Manifest()
    m.raw_text = nested(m, 64)
    put_valid("manifest-json-depth-64", m)
    for length in range(1, 8):  # every length of the padding after the JSON occurs in some vector
        m = Manifest(run_name="x" * length)
        if len(m.json()) % 8 == 0:
            put_valid("manifest-no-padding", m)
    m = Manifest(world_size=2, rank=1)
    m.kind = 1
    put_valid("manifest-part", m)


def restart_id(number):
    """Restart ids sort by time."""
    return bytes.fromhex("0193a5b2c4d0")[:5] + bytes([0xd0 + number]) + make_id(f"restart {number}")[6:]


def origin(**changes):
    """The third life of a run, on the branch that its second one began."""
    return {"kind": "training", "store": STORE.hex(), "run": restart_id(0).hex(), "branch": restart_id(1).hex(), "restart": 2, **changes}


def make_origins():
    valid("manifest-origin", "manifest", (m := Manifest(origin=origin())).data(), m.expect())
    valid("manifest-origin-copy", "manifest", (m := Manifest(origin=origin(store=make_id("elsewhere").hex()))).data(), m.expect())
    valid("manifest-origin-imported", "manifest", (m := Manifest(origin=origin(kind="imported"))).data(), m.expect())
    valid("manifest-transfer-check", "manifest", (m := Manifest(transfer_check="crc64nvme")).data(), m.expect())
    # Informative: a word that this version does not know is none of the reader's business.
    valid("manifest-transfer-check-unknown", "manifest", (m := Manifest(transfer_check="sha3")).data(), m.expect())
    m = Manifest(transfer_check=1)
    damage("manifest-transfer-check-number", "manifest", m.data(), None, "transfer_check is a number; the hash is right")
    for name, value in {"null": None, "string": "training", "kind": origin(kind=1), "restart": origin(restart=-1),
                        "restart-fraction": origin(restart=1.5), "run-short": origin(run="00"),
                        "store-upper-case": origin(store="ABCDEF" + STORE.hex()[6:])}.items():
        m = small_manifest(origin=value)
        damage(f"manifest-origin-{name}", "manifest", m.data(), None, f"origin: {name}; the hash is right")
    for key in origin():
        m = small_manifest(origin={k: v for k, v in origin().items() if k != key})
        damage(f"manifest-origin-without-{key}", "manifest", m.data(), None, f"origin without {key}; the hash is right")


def make_restarts_store():
    """A run of two restarts, of which the second went back behind the last step; a branch of it; an import; a copy."""
    base, checkpoints = "stores/restarts", []
    put(f"{base}/store.json", store_json())
    first, second, third = (restart_id(number).hex() for number in range(3))
    saves = [
        (0, 10, "run", origin(branch=first, restart=0), None), (0, 20, "run", origin(branch=first, restart=0), None),
        (0, 30, "run", origin(branch=first, restart=0), None), (1, 25, "run", origin(branch=first, restart=1), (0, 20)),
        (2, 11, "run", origin(branch=third, restart=2), (0, 10)),
        (3, 0, "weights", origin(kind="imported", run=restart_id(3).hex(), branch=restart_id(3).hex(), restart=0), None),
        (4, 99, "run", origin(store=make_id("elsewhere").hex(), run=restart_id(4).hex(), branch=restart_id(4).hex(), restart=0), None)]
    attempts = {}
    for number, step, name, place, parent in saves:
        attempts[number, step] = attempt = make_id(f"restarts {number} {step}")
        raw = noise(64, f"restarts {number} {step}")
        block = Block(RAW, raw)
        data = segment([block], 0, 0, attempt)
        put(f"{base}/segments/{segment_name(attempt)}", data)
        run = restart_id(number).hex()
        parent = parent and {"id": attempts[parent].hex(), "run": restart_id(parent[0]).hex(), "step": parent[1]}
        m = Manifest(id=attempt.hex(), run=run, run_name=name, step=step, created_ms=CREATED + 1000 * number + step, origin=place,
                     parent=parent)
        m.add_segment(data, attempt)
        m.add_tensor("weight", "f32", [4, 4], m.add_chunk(raw, m.add_block(block), 0), 1)
        put(f"{base}/manifests/{run}-{step:020}.manifest", m.data())
        tensors = [{**{key: m.text["tensors"][0][key] for key in ("name", "type", "shape", "role")}, "digest": hash128(raw).hex()}]
        checkpoints.append({"id": attempt.hex(), "run": run, "step": step, "metrics": {}, "tensors": tensors, "objects": []})
    put(f"{base}/expected.json", {"store": STORE.hex(), "checkpoints": checkpoints})


def make_more_valid_manifests():
    m = Manifest()
    scalar = b', "deep": ' + b"[" * 63 + b"1" + b"]" * 63 + b"}"
    m.raw_text = m.json()[:-1] + scalar
    valid("manifest-json-depth-64-scalar", "manifest", m.data(), m.expect())
    m = Manifest(created_ms=0)
    m.add_tensor("huge, empty", "f64", [2**62, 0, 2**62], 0, 0)
    m.add_tensor("huge, no shard", "f64", [2**62, 2**62, 0], 0, 0)["shards"] = []
    m.add_tensor("ones", "u8", [1] * 31 + [0], 0, 0)
    valid("manifest-empty-huge", "manifest", m.data(), m.expect())


def nested(m, depth):
    """The JSON with an unknown key so deep that `depth` brackets are open at once, the outermost among them."""
    return m.json()[:-1] + b', "deep": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def cast_manifest():
    """A segment with a block of masters; one tensor is the cast of all of them, another of the last eight, which are in the middle of an element."""
    m = Manifest()
    block = Block(RAW, floats(40, "masters") + b"x")
    m.add_segment(segment([block]))
    row = m.add_block(block)
    m.required = 4
    m.add_tensor("master", "f32", [40], m.add_chunk(block.raw[:160], row, 0), 1)
    for name, kind, codec, source, offset in (("w", "bf16", CAST_BF16, block.raw[:160], 0), ("h", "f16", CAST_F16, block.raw[129:161], 129)):
        raw = cast(codec, source)
        m.add_tensor(name, kind, [len(raw) // 2], m.add_chunk(raw, m.add_cast(codec, len(raw), row, offset), 0), 1)
    return m


def make_invalid_casts():
    """Rows of the manifest above: block 1 is a cast of block 0."""
    blocks = cast_manifest().places()[2]

    def bad(name, row, why, at, features=4, **changes):
        m = cast_manifest()
        m.required = features
        fields = dict(zip(("segment", "codec", "offset", "stored", "raw", "hash", "base"), m.blocks[row]))
        m.blocks[row] = tuple({**fields, **changes}.values())
        damage("manifest-cast-" + name, "manifest", m.data(), blocks + 40 * row + at, why + "; the hash is right")

    bad("without-feature", 1, "a cast without the feature", 32, features=2)
    bad("no-base", 1, "a cast without a base", 32, base=NO_BASE)
    bad("self", 1, "a cast of itself", 32, base=1)
    bad("of-cast", 2, "a cast of a cast", 8, base=1, offset=0)
    bad("outside", 1, "a cast of more than its base has", 8, offset=2)
    bad("offset-huge", 1, "an offset of 2^35", 8, offset=1 << 35)
    bad("odd", 1, "a cast of half an element", 8, raw=79)
    bad("stored", 1, "a cast with stored bytes", 0, stored=80)
    bad("hash", 1, "a cast with a stored hash", 0, hash=1)
    bad("base-of-raw", 0, "a base of a raw block", 32, base=0)


def small_manifest(**changes):
    """One segment, two blocks, three chunks, two tensors, one object."""
    m = Manifest(**changes)
    blocks = [Block(RAW, noise(48, "a")), Block(ZSTD, pattern(240, "b"))]
    m.add_segment(segment(blocks))
    for block in blocks:
        m.add_block(block)
    for block, start, end, epoch in ((0, 0, 24, 7), (0, 24, 48, 0), (1, 0, 240, 7)):
        m.add_chunk(blocks[block].raw[start:end], block, start, epoch)
    m.add_tensor("w", "f32", [2, 3], 0, 1)
    m.add_tensor("m", "bf16", [10, 12], 2, 1)
    m.add_object("state", "data", "bytes", 24, 1, 1)
    return m


def without_object(m):
    """Takes the object out of the small manifest, so that its chunk is free for a tensor."""
    m.text["objects"] = []
    m.chunks[1] = (*m.chunks[1][:4], 7)


def make_invalid_types():
    def bad(name, why, kind, shape, shards, required=1 << 5):
        m = Manifest()
        m.required = required
        block = Block(RAW, noise(64, "bad types"))
        m.add_segment(segment([block]))
        row, at = m.add_block(block), 0
        tensor = m.add_tensor("w", kind, shape, 0, 0)
        tensor["shards"] = []
        for offset, extent, size in shards:
            first = m.add_chunk(block.raw[at:at + size], row, at)
            at += size
            tensor["shards"].append({"offset": offset, "extent": extent, "first": first, "count": 1})
        damage("manifest-types-" + name, "manifest", m.data(), None, why + "; the hash is right")

    bad("without-feature", "a type of the feature, without it", "c64", [2], [([0], [2], 16)], 0)
    bad("half-byte", "three elements of four bits", "f4e2m1", [3], [([0], [3], 2)])
    bad("six-bits", "two elements of six bits", "f6e2m3", [2], [([0], [2], 2)])
    bad("as-bytes", "a byte for each element of four bits", "i4", [4], [([0], [4], 4)])
    bad("shard-cuts", "shards that cut a byte", "u4", [6], [([0], [3], 2), ([3], [3], 2)])
    bad("rows-cut", "shards of rows that do not end between bytes", "u4", [4, 3],
        [([0, 0], [2, 3], 3), ([2, 0], [2, 3], 3)])


def make_invalid_headers():
    m = small_manifest(run_name="", writer="", groups=[])
    m.text.update(tensors=[])
    without_object(m)
    data = m.data()
    pad, segments, blocks, chunks, end = m.places()
    size = len(data)

    def bad(name, offset, new, why, at=...):
        damage("manifest-" + name, "manifest", rehash_manifest(patch(data, offset, new)), offset if at is ... else at,
               why + "; the hash is right")

    bad("magic", 0, b"CKPTSEGM", "wrong magic")
    refused("manifest-version-2", "manifest", rehash_manifest(patch(data, 8, b"\2")), 8, "a later version")
    refused("manifest-version-65535", "manifest", rehash_manifest(patch(data, 8, b"\xff\xff")), 8, "a later version")
    bad("version-0", 8, b"\0", "version 0")
    bad("kind-2", 10, b"\2", "kind 2")
    bad("reserved0", 11, b"\1", "reserved0 set")
    refused("manifest-feature-31", "manifest", rehash_manifest(patch(data, 12, b"\0\0\0\x80")), 12, "required feature bit 31")
    refused("manifest-feature-4", "manifest", rehash_manifest(patch(data, 12, b"\x10")), 12, "required feature bit 4")
    bad("json-bytes-1", 20, struct.pack("<I", 1), "jsonBytes below 2")
    for name, offset, most in (("json-bytes", 20, 536870912), ("segment-count", 24, 1048576), ("block-count", 28, 16777216),
                               ("chunk-count", 32, 33554432)):
        bad(f"{name}-over", offset, struct.pack("<I", most + 1), "one above its limit")
        bad(f"{name}-huge", offset, b"\xff\xff\xff\xff", "2^32 - 1")
        bad(f"{name}-room", offset, struct.pack("<I", most), "at its limit, larger than the file", None)
        now = struct.unpack_from("<I", data, offset)[0]
        bad(f"{name}-more", offset, struct.pack("<I", now + 9), "nine more than there are", None)
        if now and name != "json-bytes":
            bad(f"{name}-fewer", offset, struct.pack("<I", now - 1), "one fewer than there are", None)
    bad("reserved1", 36, b"\1", "reserved1 set")
    bad("file-bytes-less", 40, struct.pack("<Q", size - 8), "fileBytes smaller than the file")
    bad("file-bytes-more", 40, struct.pack("<Q", size + 8), "fileBytes larger than the file", None)
    bad("file-bytes-huge", 40, b"\xff" * 8, "fileBytes 2^64 - 1", None)
    damage("manifest-feature-no-hash", "manifest", patch(data, 12, b"\1"), end, "feature parts, and no matching hash")
    damage("manifest-feature-parts", "manifest", rehash_manifest(patch(data, 12, b"\1")), None,
           "feature parts, and a world of one rank; the hash is right")
    for bit, feature in {3: "alias"}.items():
        refused(f"manifest-feature-{feature}", "manifest", rehash_manifest(patch(data, 12, bytes([1 << bit]))), 12,
                f"required feature {feature}")
    damage("manifest-reserved2-middle", "manifest", rehash_manifest(patch(data, 55, b"\1")), 55,
           "a byte in the middle of reserved2 set; the hash is right")
    no_rows = patch(patch(data[:segments] + data[blocks:chunks] + bytes(16), 24, bytes(4)), 32, bytes(4))
    no_rows = patch(no_rows, 40, struct.pack("<Q", len(no_rows)))
    damage("manifest-blocks-no-segments", "manifest", rehash_manifest(no_rows), segments,
           "blocks, and no segment row at all; the hash is right")
    no_rows = patch(patch(data[:segments] + data[chunks:end] + bytes(16), 24, bytes(4)), 28, bytes(4))
    no_rows = patch(no_rows, 40, struct.pack("<Q", len(no_rows)))
    damage("manifest-chunks-no-blocks", "manifest", rehash_manifest(no_rows), segments + 16,
           "chunks, and no block row at all; the hash is right")
    bad("file-bytes-zero", 40, bytes(8), "fileBytes 0", None)
    bad("reserved2", 48, b"\1", "reserved2 set")
    bad("reserved2-last", 63, b"\1", "last byte of reserved2 set", None)
    bad("json-padding", pad, b"\1", "first byte of the padding after the JSON set")
    damage("manifest-hash", "manifest", flip(data, size - 1), end, "a bit of the hash flipped")
    for name, offset in (("json", 64), ("segments", segments), ("blocks", blocks + 16), ("chunks", end - 1)):
        damage(f"manifest-flip-{name}", "manifest", flip(data, offset), end, "a bit flipped, the hash left as it was")
    for name, cut in (("nothing", 0), ("magic", 7), ("header", 63), ("after-header", 64), ("after-json", pad),
                      ("after-padding", segments), ("after-segments", blocks), ("after-blocks", chunks), ("before-hash", end),
                      ("in-hash", size - 1)):
        damage(f"manifest-cut-{name}", "manifest", data[:cut], cut, f"only the first {cut} bytes")
    damage("manifest-longer", "manifest", data + b"\0", None, "a byte after the hash")
    damage("manifest-longer-row", "manifest", rehash_manifest(patch(data[:-16] + bytes(48), 40, struct.pack("<Q", size + 32))),
           40, "32 bytes more than the parts, in fileBytes and in the file; the hash is right")


def make_invalid_rows():
    m = small_manifest(run_name="", writer="")
    del m.text["tensors"][0]  # the last tensor stays: chunk row 2 needs a group
    without_object(m)
    data = m.data()
    _, segments, blocks, chunks, _ = m.places()

    def bad(name, offset, new, why, at=...):
        damage("manifest-" + name, "manifest", rehash_manifest(patch(data, offset, new)), offset if at is ... else at,
               why + "; the hash is right")

    u32 = lambda value: struct.pack("<I", value)
    u64 = lambda value: struct.pack("<Q", value)
    bad("segment-rank", segments + 16, u32(100000), "rank at worldSizeMax")
    bad("segment-number", segments + 20, u32(100000), "number at segmentsPerRankMax")
    bad("segment-bytes", segments + 24, u64(68719476736 + 4096), "segment larger than its limit")
    bad("segment-bytes-page", segments + 24, u64(16385), "segment of no whole number of pages")
    bad("segment-bytes-few", segments + 24, u64(4096), "segment of one page")
    bad("segment-bytes-huge", segments + 24, b"\xff" * 8, "segment of 2^64 - 1 bytes")
    row = blocks + 40
    bad("block-segment", row, u32(1), "segment row that is not there")
    bad("block-segment-huge", row, u32(0xFFFFFFFF), "segment row 2^32 - 1")
    for codec in (63, 64, 255):
        refused(f"manifest-codec-{codec}", "manifest", rehash_manifest(patch(data, row + 4, bytes([codec]))), row + 4,
                f"codec {codec}")
    bad("block-reserved0", row + 5, b"\1", "reserved0 set")
    bad("block-reserved1", row + 6, b"\1", "reserved1 set")
    bad("block-offset-page", row + 8, u64(4104), "block not on a page")
    bad("block-offset-header", row + 8, u64(0), "block in the header page")
    bad("block-outside", row + 8, u64(16384), "block past the end of its segment")
    bad("block-offset-huge", row + 8, u64(2**64 - 4096), "offset + storedBytes overflows 64 bits")
    bad("block-stored-zero", row + 16, u32(0), "storedBytes 0")
    bad("block-stored-max", row + 16, u32(67108865), "storedBytes above its limit")
    bad("block-raw-zero", row + 20, u32(0), "rawBytes 0")
    bad("block-raw-max", row + 20, u32(67108865), "rawBytes above its limit")
    bad("block-raw-codec", blocks + 16, u32(47), "codec raw, storedBytes is not rawBytes")
    bad("block-base", row + 32, u32(0), "a base without the feature delta")
    bad("block-base-self", row + 32, u32(1), "a block that is its own base")
    bad("block-base-forward", blocks + 32, u32(1), "a base later in the table")
    bad("block-reserved2", row + 36, b"\1", "reserved2 set")
    row = chunks + 32
    bad("chunk-block", row + 16, u32(2), "block row that is not there")
    bad("chunk-block-huge", row + 16, u32(0xFFFFFFFF), "block row 2^32 - 1")
    bad("chunk-outside", row + 20, u32(25), "chunk ends a byte after its block")
    bad("chunk-offset-huge", row + 20, u32(0xFFFFFFF0), "offset + bytes overflows 32 bits")
    bad("chunk-zero", row + 24, u32(0), "a chunk of 0 bytes")
    bad("chunk-max", row + 24, u32(67108865), "a chunk above its limit")
    bad("chunk-epoch", chunks + 64 + 28, u32(8), "an epoch other than that of the chunk's group", None)


def make_invalid_json():
    def change(name, why, edit, /, **changes):
        m = small_manifest(**changes)
        edit(m)
        damage("manifest-" + name, "manifest", m.data(), None, why + "; the hash is right")

    def raw(name, why, edit):
        change(name, why, lambda m: setattr(m, "raw_text", edit(m.json())))

    raw("json-duplicate-key", "a key twice", lambda t: t[:-1] + b', "rank": 0}')
    raw("json-duplicate-escaped", "a key twice, once escaped", lambda t: t[:-1] + b', "r\\u0061nk": 0}')
    raw("json-duplicate-unknown", "an unknown key twice, deep inside", lambda t: t[:-1] + b', "x": [{"y": 1, "y": 1}]}')
    change("json-depth-65", "nested 65 deep", lambda m: setattr(m, "raw_text", nested(m, 65)))
    change("json-depth-1000", "nested 1000 deep", lambda m: setattr(m, "raw_text", nested(m, 1000)))
    raw("json-trailing", "bytes after the object", lambda t: t + b" x")
    raw("json-trailing-nul", "a zero byte counted in jsonBytes", lambda t: t + b"\0")
    raw("json-two-values", "two objects", lambda t: t + b"{}")
    raw("json-cut", "cut short", lambda t: t[:-1])
    raw("json-array", "an array, not an object", lambda t: b"[" + t + b"]")
    raw("json-null", "null, not an object", lambda t: b"null")
    raw("json-empty-object", "no key at all", lambda t: b"{}")
    raw("json-mark", "a byte-order mark", lambda t: b"\xef\xbb\xbf" + t)
    raw("json-utf-16", "UTF-16", lambda t: t.decode().encode("utf-16-le"))
    for name, code in {"lone": b"\xff", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80", "cut": b"\xe2\x82",
                       "beyond": b"\xf4\x90\x80\x80"}.items():
        raw(f"json-utf-8-{name}", "not UTF-8", lambda t, c=code: t.replace(b'"vectors"', b'"' + c + b'"'))
    raw("json-lone-surrogate", "an escape of half a surrogate pair", lambda t: t.replace(b"vectors", b"\\ud800"))
    raw("json-control", "a line feed inside a string, not escaped", lambda t: t.replace(b"vectors", b"vec\ntors"))
    raw("json-escape", "an escape that JSON has not", lambda t: t.replace(b"vectors", b"\\x41"))
    raw("json-comma", "a comma too many", lambda t: t[:-1] + b",}")
    raw("json-comment", "a comment", lambda t: t[:-1] + b"/* */}")
    raw("json-single-quotes", "single quotes", lambda t: t.replace(b'"vectors"', b"'vectors'"))
    raw("json-nan", "the constant NaN", lambda t: t.replace(b'"metrics":{}', b'"metrics":{"a":NaN}'))
    raw("json-leading-zero", "an integer with a leading zero", lambda t: t.replace(b'"step":1000', b'"step":01000'))
    raw("json-plus", "an integer with a plus sign", lambda t: t.replace(b'"step":1000', b'"step":+1000'))
    raw("json-integer-64", "an integer of 2^63", lambda t: t.replace(b'"step":1000', b'"step":9223372036854775808'))
    raw("json-integer-unknown", "2^63 under an unknown key", lambda t: t[:-1] + b', "x": 9223372036854775808}')

    for key in Manifest().text:
        change(f"without-{key.replace('_', '-')}", f"no key {key}", lambda m, k=key: m.text.pop(k))
    change("id-upper-case", "id in upper-case digits", lambda m: None, id="ABCDEF" + ATTEMPT.hex()[6:])
    change("run-short", "run id of 30 digits", lambda m: None, run=RUN.hex()[2:])
    change("step-negative", "step below 0", lambda m: None, step=-1)
    change("step-string", "step is a string", lambda m: None, step="1000")
    change("step-true", "step is true", lambda m: None, step=True)
    change("step-fraction", "step has a fraction", lambda m: None, step=1000.5)
    change("world-size-0", "no ranks", lambda m: None, world_size=0)
    change("world-size-huge", "more ranks than worldSizeMax", lambda m: None, world_size=100001)
    raw("step-exponent", "step is 1e3", lambda t: t.replace(b'"step":1000', b'"step":1e3'))
    raw("json-escape-sign", "an escape with a sign among its digits", lambda t: t.replace(b"vectors", b"\\u-041"))
    raw("json-surrogate-order", "an escaped pair the wrong way round", lambda t: t.replace(b"vectors", b"\\ude00\\ud83d"))
    change("world-size-2", "two ranks, kind 0, without feature parts", lambda m: None, world_size=2)
    change("rank-outside", "rank 1 of 1", lambda m: None, rank=1)
    change("object-chunk-epoch", "an object whose chunk has an epoch", lambda m: m.text["objects"][0].update(first=0))
    change("group-epoch-other", "a group of another epoch than its chunks", lambda m: m.text["groups"][0].update(epoch=8))
    change("group-epoch-fraction", "an epoch with a fraction", lambda m: m.text["groups"][0].update(epoch=7.5))
    change("object-encoding", "an encoding that is not there", lambda m: m.text["objects"][0].update(encoding="pickle"))
    for key in ("name", "type", "shape", "role", "group", "shards"):
        change(f"tensor-without-{key}", f"a tensor with no {key}", lambda m, k=key: m.text["tensors"][0].pop(k))
    for key in ("offset", "extent", "first", "count"):
        change(f"shard-without-{key}", f"a shard with no {key}", lambda m, k=key: m.text["tensors"][0]["shards"][0].pop(k))
    for key in ("name", "role", "encoding", "bytes", "first", "count"):
        change(f"object-without-{key}", f"an object with no {key}", lambda m, k=key: m.text["objects"][0].pop(k))
    for key in ("cast_of", "alias_of"):
        change(key.replace("_", "-") + "-without-feature", f"{key}, without its feature",
               lambda m, k=key: m.text["tensors"][0].update({k: "m"}))
    change("empty-two-shards", "an empty tensor of two shards", lambda m: m.text["tensors"].append(
        {"name": "e", "type": "u8", "shape": [0, 2], "role": "other", "group": 0, "shards": [
            {"offset": [0, n], "extent": [0, 1], "first": 0, "count": 0} for n in (0, 1)]}))
    change("parts-without-feature", "parts without the feature", lambda m: None,
           parts=[{"rank": 1, "hash": "0" * 32}])
    change("parent-string", "parent is a string", lambda m: None, parent="none")
    change("metric-string", "a metric that is no number", lambda m: None, metrics={"a": "NaN"})
    change("metric-true", "a metric that is true", lambda m: None, metrics={"a": True})

    def tensor(name, why, /, **fields):
        change("tensor-" + name, why, lambda m: m.text["tensors"][0].update(fields))

    def shard(name, why, /, **fields):
        change("shard-" + name, why, lambda m: m.text["tensors"][0]["shards"][0].update(fields))

    tensor("name-empty", "an empty name", name="")
    tensor("name-long", "a name of 4097 bytes", name="\u00e9" * 2048 + "x")
    tensor("name-duplicate", "two tensors of one name", name="m")
    tensor("type", "an element type that is not there", type="f33")
    tensor("type-upper-case", "an element type in upper case", type="F32")
    tensor("group", "a group that is not there", group=1)
    tensor("shape-other", "chunks that do not add up", shape=[2, 4])
    tensor("shape-negative", "a negative size", shape=[-2, -3])
    tensor("shape-overflow", "sizes whose product overflows 64 bits", shape=[2**32, 2**32, 2])
    tensor("shape-overflow-to-fit", "sizes whose product is 6 modulo 2^64", shape=[2**63 - 1, 2**63 - 1, 6])
    tensor("shape-overflow-width", "a product that overflows only with the element width", shape=[2**62, 1])
    tensor("rank-33", "33 dimensions", shape=[1] * 31 + [2, 3])
    tensor("no-shards", "no shards, and not empty", shards=[])
    shard("outside", "offset + extent larger than the shape", offset=[1, 0])
    shard("offset-huge", "offset + extent overflows 64 bits", offset=[2**63 - 1, 0])
    shard("negative", "a negative offset", offset=[-1, 0])
    shard("rank", "a shard of another rank than the tensor", offset=[0], extent=[6])
    shard("extent-less", "chunks larger than the extent", extent=[1, 3])
    shard("first-huge", "first + count overflows", first=2**63 - 1)
    shard("count-huge", "more chunk rows than there are", count=2**62)
    shard("first-outside", "a chunk row that is not there", first=3)
    shard("count-more", "a chunk too many", count=2)
    shard("count-zero", "no chunks for a shard that is not empty", count=0)

    def halves(m, a, b):
        without_object(m)
        m.text["tensors"][0].update(type="u8", shape=[2, 24], shards=[
            {"offset": a, "extent": [1, 24], "first": 0, "count": 1}, {"offset": b, "extent": [1, 24], "first": 1, "count": 1}])
    change("shards-overlap", "the same row twice", lambda m: halves(m, [0, 0], [0, 0]))

    def crossing(m):
        without_object(m)
        m.text["tensors"][0].update(type="u8", shape=[8, 6], shards=[
            {"offset": [0, 0], "extent": [4, 6], "first": 0, "count": 1}, {"offset": [3, 0], "extent": [4, 6], "first": 1,
                                                                           "count": 1}])
    change("shards-cross", "shards that share a row", crossing)
    change("shards-incomplete", "shards that do not cover the shape", lambda m: m.text["tensors"][0].update(shape=[3, 3]))

    def thing(name, why, /, **fields):
        change("object-" + name, why, lambda m: m.text["objects"][0].update(fields))
    thing("name-empty", "an empty name", name="")
    thing("bytes", "chunks that do not add up", bytes=25)
    thing("count-huge", "more chunk rows than there are", count=2**31)
    change("object-name-duplicate", "two objects of one name",
           lambda m: m.text["objects"].append(dict(m.text["objects"][0])))


# ---- pieces ---------------------------------------------------------------------------------------------------------


PIECES = 1 << 6


def place_pieces(raw, whole, width, pieces):
    """Puts a shard's bytes into its tensor, element by element, as the definition says."""
    end = 0
    for piece in pieces:
        steps, extents, indices = piece.get("local_strides"), piece["shape"], [[]]
        for extent in extents:
            indices = [index + [n] for index in indices for n in range(extent)]
        for number, index in enumerate(indices):
            to = piece["offset"] + sum(i * s for i, s in zip(index, piece["strides"]))
            at = piece.get("local_offset", end) + (number if steps is None else sum(i * s for i, s in zip(index, steps)))
            whole[to * width:(to + 1) * width] = raw[at * width:(at + 1) * width]
        end += len(indices)


def piece_lists():
    """(name, element type, width, shape, the pieces of each shard) of some tensors."""
    irregular = [{"shape": [3], "offset": 0, "strides": [7]}, {"shape": [3], "offset": 1, "strides": [11]}]
    taken = {piece["offset"] + n * piece["strides"][0] for piece in irregular for n in range(3)}
    return [
        ("interleaved", "f32", 4, [12, 8], [
            [{"shape": [3, 2, 8], "offset": 0, "strides": [32, 8, 1], "local_strides": [8, 24, 1]}],
            [{"shape": [3, 16], "offset": 16, "strides": [32, 1]}]]),
        ("flat ranges", "bf16", 2, [5, 7], [
            [{"shape": [11], "offset": 0, "strides": [1]}], [{"shape": [24], "offset": 11, "strides": [1]}]]),
        ("transposed", "u8", 1, [6, 8], [[{"shape": [6, 8], "offset": 0, "strides": [8, 1], "local_strides": [1, 6]}]]),
        ("places changed", "i64", 8, [4], [[
            {"shape": [2], "offset": 2, "strides": [1], "local_offset": 2},
            {"shape": [1], "offset": 1, "strides": [0], "local_offset": 0},
            {"shape": [], "offset": 0, "strides": [], "local_offset": 1}]]),
        ("7 and 11", "u8", 1, [40], [
            irregular, [{"shape": [], "offset": n, "strides": []} for n in range(40) if n not in taken]]),
    ]


def pieces_manifest(attempt=ATTEMPT, **changes):
    """The manifest, its segment, and the digest of each tensor."""
    m, digests = Manifest(id=attempt.hex(), **changes), []
    m.required = PIECES
    raws = [noise(product(shape) * width, "pieces " + name) for name, _, width, shape, _ in piece_lists()]
    block = Block(RAW, b"".join(raws))
    data = segment([block], 0, 0, attempt)
    m.add_segment(data, attempt)
    m.add_block(block)
    at = 0
    for (name, kind, width, shape, shards), raw in zip(piece_lists(), raws):
        tensor, whole, start = m.add_tensor(name, kind, shape, 0, 0), bytearray(len(raw)), 0
        tensor["shards"] = []
        for pieces in shards:
            size = width * sum(product(piece["shape"]) for piece in pieces)
            part = raw[start:start + size]
            tensor["shards"].append({"pieces": pieces, "first": m.add_chunk(part, 0, at + start), "count": 1})
            place_pieces(part, whole, width, pieces)
            start += size
        at += len(raw)
        digests.append(hash128(bytes(whole)).hex())
    return m, data, digests


def product(sizes):
    count = 1
    for size in sizes:
        count *= size
    return count


def copies_manifest(world_size=8, rank=3):
    """A part with copies of both kinds: boxes, and pieces without feature `pieces`."""
    m = Manifest(world_size=world_size, rank=rank)
    m.kind = 1
    m.text["tensors"] = [
        {"name": "box", "type": "f32", "shape": [6, 8], "role": "parameter", "group": 0, "shards": [], "copies": [
            {"offset": [0, 0], "extent": [2, 8], "bytes": [64], "hashes": [hash128(b"a").hex()]},
            {"offset": [4, 0], "extent": [2, 8], "bytes": [60, 4], "hashes": [hash128(b"b").hex(), hash128(b"c").hex()]}]},
        {"name": "pieces", "type": "bf16", "shape": [5, 7], "role": "optimizer", "group": 0, "shards": [], "copies": [
            {"pieces": [{"shape": [11], "offset": 3, "strides": [1]}], "bytes": [22], "hashes": [hash128(b"d").hex()]}]},
        {"name": "empty", "type": "u8", "shape": [0], "role": "other", "group": 0, "shards": [], "copies": []}]
    return m


def make_copies():
    m = copies_manifest()
    valid("manifest-copies", "manifest", m.data(), m.expect())

    def bad(name, why, edit, tensor=0):
        m = copies_manifest()
        edit(m.text["tensors"][tensor]["copies"][0], m)
        damage("manifest-copies-" + name, "manifest", m.data(), None, why + "; the hash is right")

    def field(name, why, tensor=0, **fields):
        bad(name, why, lambda copy, m: copy.update(fields), tensor)

    field("outside", "a copy outside its tensor", offset=[5, 0])
    field("dimensions", "a copy of another rank than its tensor", offset=[0], extent=[16])
    field("short", "chunks that are fewer bytes than the copy", bytes=[60])
    field("empty-chunk", "a chunk of no bytes", bytes=[64, 0], hashes=["0" * 32] * 2)
    field("hashes", "two hashes of one chunk", hashes=["0" * 32] * 2)
    field("hash", "a hash that is none", hashes=["0" * 31 + "g"])
    field("huge", "sizes whose sum does not fit 64 bits", bytes=[2**62] * 4, hashes=["0" * 32] * 4)
    field("both", "both pieces and a box", tensor=1, offset=[0, 0], extent=[1, 7])
    field("pieces", "a piece outside its tensor", tensor=1, pieces=[{"shape": [11], "offset": 30, "strides": [1]}])
    bad("no-array", "copies that are no array", lambda copy, m: m.text["tensors"][0].update(copies={}))
    bad("no-part", "copies in a checkpoint of one rank",
        lambda copy, m: (setattr(m, "kind", 0), m.text.update(world_size=1, rank=0, tensors=m.text["tensors"][2:])))


def make_pieces():
    m, _, _ = pieces_manifest()
    valid("manifest-pieces", "manifest", m.data(), m.expect())
    part, _, _ = pieces_manifest(world_size=8, rank=3)
    part.kind = 1
    part.text["tensors"] = part.text["tensors"][:2]
    for tensor in part.text["tensors"]:
        tensor["shards"] = tensor["shards"][:1]
    part.text["tensors"][0]["shards"][0]["replicas"] = [0, 1, 7]
    part.text["tensors"].append({"name": "box", "type": "u8", "shape": [6, 8], "role": "other", "group": 0, "shards": [
        {"offset": [2, 0], "extent": [6, 8], "first": 0, "count": 0, "replicas": [0]}]})
    part.text["tensors"][2]["shards"][0].update(offset=[0, 0], extent=[0, 8])
    valid("manifest-pieces-part", "manifest", part.data(), part.expect())
    m = Manifest()
    m.required = PIECES  # a feature that is allowed and not made use of
    valid("manifest-feature-pieces", "manifest", m.data(), m.expect())

    def bad(name, why, edit, tensor=0, **changes):
        m, _, _ = pieces_manifest(**changes)
        edit(m.text["tensors"][tensor]["shards"][0], m)
        damage("manifest-pieces-" + name, "manifest", m.data(), None, why + "; the hash is right")

    def piece(name, why, tensor=0, /, **fields):
        bad(name, why, lambda shard, m: shard["pieces"][0].update(fields), tensor)

    bad("without-feature", "pieces without the feature", lambda shard, m: setattr(m, "required", 0))
    bad("and-box", "a shard with pieces and a box", lambda shard, m: shard.update(offset=[0, 0], extent=[6, 8]))
    bad("and-offset", "a shard with pieces and an offset", lambda shard, m: shard.update(offset=[0, 0]))
    bad("none", "an empty list of pieces", lambda shard, m: shard.update(pieces=[]))
    bad("object", "pieces is an object", lambda shard, m: shard.update(pieces={}))
    bad("many", "more pieces than piecesPerShardMax", lambda shard, m: shard.update(pieces=[{}] * 65537))
    for key in ("shape", "offset", "strides"):
        bad("without-" + key, f"a piece with no {key}", lambda shard, m, k=key: shard["pieces"][0].pop(k))
    piece("extent-0", "an extent of 0", shape=[3, 0, 8])
    piece("dimensions", "a dimension without a stride", strides=[32, 8])
    piece("local-dimensions", "a dimension without a local stride", local_strides=[8, 24])
    piece("offset-negative", "a negative offset", offset=-1)
    piece("stride-negative", "a negative stride", strides=[32, 8, -1])
    piece("offset-huge", "an offset that overflows", offset=2**63 - 1)
    piece("stride-huge", "a stride that overflows", strides=[2**62, 8, 1])
    piece("extent-huge", "an extent that overflows", shape=[2**62, 2, 8])
    piece("outside", "its last element is the first after the tensor", offset=17)
    piece("stride-0", "an element twice", strides=[0, 8, 1])
    piece("crossed", "strides that do not nest", strides=[32, 7, 1])
    piece("local-outside", "its last element is the first after the shard", local_offset=1)
    piece("local-crossed", "local strides that do not nest", local_strides=[7, 24, 1])
    piece("local-hole", "a shard that is not filled, and overlaps", 3, local_offset=1)
    piece("overlap", "an element that another shard has", offset=8)
    piece("range-overlap", "two ranges that share an element", 1, offset=1)
    piece("size", "pieces smaller than their chunks", 1, shape=[10])
    bad("hole", "an element that no shard has", lambda shard, m: (
        shard.update(pieces=[{"shape": [10], "offset": 0, "strides": [1]}]),
        m.chunks.__setitem__(shard["first"], (*m.chunks[shard["first"]][:3], 20, 7))), 1)

    def cut(shard, m):
        first = shard["first"]
        row = m.chunks[first]
        m.chunks[first:first + 1] = [(row[0], row[1], row[2], 3, 7), (row[0], row[1], row[2] + 3, row[3] - 3, 7)]
        for tensor in m.text["tensors"]:
            for other in tensor["shards"]:
                other["first"] += other["first"] > first
        shard["count"] = 2
    bad("cut", "a chunk of pieces that ends inside an element", cut)
    runs = Manifest()
    runs.required = PIECES
    runs.add_tensor("runs", "u8", [2**23 + 2], 0, 0)["shards"] = [
        {"pieces": [{"shape": [2**22 + 1], "offset": n, "strides": [2]}], "first": 0, "count": 0} for n in (0, 1)]
    damage("manifest-pieces-runs", "manifest", runs.data(), None, "more runs than runsPerTensorMax; the hash is right")
    for name, why, replicas in (("order", "not ascending", [1, 0]), ("twice", "a rank twice", [1, 1]), ("self", "its own rank", [1, 3]),
                                ("rank", "a rank beyond the world", [8]), ("string", "no numbers", ["1"])):
        def change(shard, m):
            m.kind = 1
            shard["replicas"] = replicas
        bad("replicas-" + name, "replicas: " + why, change, world_size=8, rank=3)


def make_pieces_store():
    """One checkpoint whose tensors are given as pieces."""
    base, attempt = "stores/pieces", make_id("pieces")
    put(f"{base}/store.json", store_json())
    m, data, digests = pieces_manifest(attempt, run_name="pieces", step=7)
    put(f"{base}/segments/{segment_name(attempt)}", data)
    put(f"{base}/manifests/{RUN.hex()}-{7:020}.manifest", m.data())
    tensors = [{**{key: t[key] for key in ("name", "type", "shape", "role")}, "digest": digest}
               for t, digest in zip(m.text["tensors"], digests)]
    put(f"{base}/expected.json", {"store": STORE.hex(), "checkpoints": [
        {"id": attempt.hex(), "run": RUN.hex(), "step": 7, "metrics": {}, "tensors": tensors, "objects": []}]})


# ---- several ranks --------------------------------------------------------------------------------------------------


PARTS = 1
RANKS = 3


def rank_tensors():
    """(name, type, width, shape, per rank its shard: the region, and the numbers of its elements)."""
    def box(shape, offset, extent):
        indices = [[]]
        for start, count in zip(offset, extent):
            indices = [index + [n] for index in indices for n in range(start, start + count)]
        numbers = [sum(i * product(shape[n + 1:]) for n, i in enumerate(index)) for index in indices]
        return {"offset": offset, "extent": extent}, numbers
    return [
        ("rows", "f32", 4, [6, 4], [box([6, 4], [2 * r, 0], [2, 4]) for r in range(RANKS)]),
        ("columns", "bf16", 2, [4, 6], [box([4, 6], [0, 2 * r], [4, 2]) for r in range(RANKS)]),
        ("interleaved", "u8", 1, [12], [
            ({"pieces": [{"shape": [4], "offset": r, "strides": [3]}]}, list(range(r, 12, 3))) for r in range(RANKS)]),
        ("uneven", "i64", 8, [5], [box([5], [0], [4]), None, box([5], [4], [1])]),
        ("stage", "f32", 4, [], [None, box([], [], []), None]),
        ("copies", "f32", 4, [7], [box([7], [0], [7])] * RANKS),
        ("empty", "f32", 4, [0, 3], [None] * RANKS),
    ]


def rank_parts(attempt):
    """The segment and the part of each rank, and the content of every tensor."""
    contents = {name: noise(product(shape) * width, "ranks " + name) for name, _, width, shape, _ in rank_tensors()}
    parts = []
    for rank in range(RANKS):
        m = Manifest(id=attempt.hex(), run_name="ranks", step=40, world_size=RANKS, rank=rank)
        m.kind, m.required = 1, PIECES
        m.text["groups"] = [{"name": "all", "epoch": 7}] + ([{"name": "late", "epoch": 2**32 + 9}] if rank == 1 else [])
        m.text["metrics"] = {"loss": 0.5} if rank == 0 else {"loss": 9}
        raws, rows = [], []
        for name, kind, width, shape, shards in rank_tensors():
            if shards[rank] is None and not (name == "empty" and rank == 0):
                continue
            tensor = {"name": name, "type": kind, "shape": shape, "role": "parameter",
                      "group": 1 if name == "stage" else 0, "shards": []}
            m.text["tensors"].append(tensor)
            if shards[rank]:
                region, numbers = shards[rank]
                raw = b"".join(contents[name][n * width:(n + 1) * width] for n in numbers)
                tensor["shards"].append({**region, "first": len(raws), "count": 1})
                rows.append((raw, 9 if name == "stage" else 7))
                raws.append(raw)
        for name, encoding, text in (("config", "json", b'{"layers":2}'), (f"rng.rank{rank}", "bytes", noise(5 + rank, f"rng {rank}"))):
            m.add_object(name, "config" if encoding == "json" else "rng", encoding, len(text), len(raws), 1)
            rows.append((text, 0))
            raws.append(text)
        block, at = Block(RAW, b"".join(raws)), 0
        data = segment([block], rank, 0, attempt)
        m.add_segment(data, attempt, rank)
        m.add_block(block)
        for raw, epoch in rows:
            m.add_chunk(raw, 0, at, epoch)
            at += len(raw)
        parts.append((data, m))
    return parts, contents


def index_rows(parts, tensors):
    """The rows of the index: (first, last, tensor, rank, row of the part, shard), without copies."""
    rows = []
    for number, tensor in enumerate(tensors):
        for rank, (_, part) in enumerate(parts):
            if tensor["name"] == "copies" and rank > 0:
                continue
            for record, held in enumerate(part.text["tensors"]):
                if held["name"] == tensor["name"] and held["shards"]:
                    numbers = next(t[4] for t in rank_tensors() if t[0] == tensor["name"])[rank][1]
                    rows.append((min(numbers), max(numbers), number, rank, record, 0))
    return sorted(rows, key=lambda row: (row[2], row[0], row[3], row[4], row[5]))


def root_manifest(attempt):
    """The root, the index, and the parts."""
    parts, contents = rank_parts(attempt)
    root = Manifest(id=attempt.hex(), run_name="ranks", step=40, world_size=RANKS, rank=0, metrics={"loss": 0.5},
                    groups=[{"name": "all", "epoch": 7}, {"name": "late", "epoch": 2**32 + 9}])
    root.required = PARTS
    for rank, (_, part) in enumerate(parts):
        for tensor in part.text["tensors"]:
            if tensor["name"] not in [t["name"] for t in root.text["tensors"]]:
                root.text["tensors"].append({**tensor, "shards": []})
        for thing in part.text["objects"]:
            if thing["name"] not in [o["name"] for o in root.text["objects"]]:
                root.text["objects"].append({**thing, "first": 0, "count": 0, "rank": rank})
    files = [part.data() for _, part in parts]
    root.text["parts"] = [{"rank": n, "hash": data[-16:].hex(), "bytes": len(data)} for n, data in enumerate(files)]
    rows = index_rows(parts, root.text["tensors"])
    index = b"".join(struct.pack("<QQIIII", *row) for row in rows)
    root.text["index"] = {"hash": hash128(index).hex(), "rows": len(rows), "pages": [
        {"tensor": rows[0][2], "first": rows[0][0], "last": max(row[1] for row in rows), "hash": hash128(index).hex()}]}
    return root, index, parts, contents


def make_ranks():
    attempt = make_id("ranks")
    root, _, parts, _ = root_manifest(attempt)
    valid("manifest-root", "manifest", root.data(), root.expect())
    valid("manifest-root-part", "manifest", parts[1][1].data(), parts[1][1].expect())

    def bad(name, why, change):
        root, _, _, _ = root_manifest(attempt)
        change(root)
        damage("manifest-root-" + name, "manifest", root.data(), None, why + "; the hash is right")

    def set_part(**fields):
        return lambda m: m.text["parts"][1].update(fields)

    def set_index(**fields):
        return lambda m: m.text["index"].update(fields)

    def set_page(**fields):
        return lambda m: m.text["index"]["pages"][0].update(fields)

    bad("part-kind", "feature parts in a part", lambda m: setattr(m, "kind", 1))
    bad("one-rank", "feature parts, and a world of one rank", lambda m: m.text.update(world_size=1, parts=m.text["parts"][:1]))
    bad("rank", "a root of rank 1", lambda m: m.text.update(rank=1))
    bad("without-feature", "parts, without the feature", lambda m: setattr(m, "required", 0))
    bad("few-parts", "two parts of three ranks", lambda m: m.text["parts"].pop())
    bad("many-parts", "four parts of three ranks", lambda m: m.text["parts"].append({**m.text["parts"][2], "rank": 3}))
    bad("part-order", "parts in another order", lambda m: m.text["parts"].reverse())
    bad("part-hash", "a part's hash that is none", set_part(hash="x"))
    bad("part-bytes", "a part larger than any", set_part(bytes=2**32 + 1))
    bad("without-index", "no index", lambda m: m.text.pop("index"))
    for key in ("hash", "rows", "pages"):
        bad("index-without-" + key, "an index without " + key, lambda m, k=key: m.text["index"].pop(k))
    bad("index-rows", "more rows than the pages have", set_index(rows=2049))
    bad("index-rows-huge", "more rows than partIndexRowsMax", set_index(rows=16777217))
    bad("index-pages", "more pages than the rows have", lambda m: m.text["index"]["pages"].append(m.text["index"]["pages"][0]))
    bad("page-tensor", "a page that begins with a tensor that is not there", set_page(tensor=7))
    for key in ("tensor", "first", "last", "hash"):
        bad("page-without-" + key, "a page without " + key, lambda m, k=key: m.text["index"]["pages"][0].pop(k))
    bad("shards", "a tensor with a shard", lambda m: m.text["tensors"][0].update(
        shards=[{"offset": [0, 0], "extent": [0, 4], "first": 0, "count": 0}]))
    bad("object-rank", "an object of a rank that is not there", lambda m: m.text["objects"][0].update(rank=3))
    bad("object-no-rank", "an object of no rank", lambda m: m.text["objects"][0].pop("rank"))
    bad("object-chunks", "an object with chunks", lambda m: m.text["objects"][0].update(count=1))

    def with_tables(m):
        m.segments, m.blocks, m.chunks = parts[0][1].segments, parts[0][1].blocks, parts[0][1].chunks
    bad("tables", "a root with tables", with_tables)


def make_ranks_store():
    """One checkpoint of three ranks, in boxes and pieces, with copies on all ranks and a tensor of one."""
    base, attempt = "stores/ranks", make_id("ranks")
    root, index, parts, contents = root_manifest(attempt)
    put(f"{base}/store.json", store_json())
    stem = f"{RUN.hex()}-{40:020}"
    put(f"{base}/manifests/{stem}.manifest", root.data())
    put(f"{base}/parts/{stem}-{attempt.hex()}/{hash128(index).hex()}.index", index)
    objects, expected = {}, []
    for rank, (data, part) in enumerate(parts):
        put(f"{base}/segments/{segment_name(attempt, rank)}", data)
        put(f"{base}/parts/{stem}-{attempt.hex()}/{rank:05}-{RANKS:06}.part", part.data())
        objects["config"] = b'{"layers":2}'
        objects[f"rng.rank{rank}"] = noise(5 + rank, f"rng {rank}")
    for thing in root.text["objects"]:
        data = objects[thing["name"]]
        row = {**{key: thing[key] for key in ("name", "role", "encoding", "bytes")}, "digest": hash128(data).hex()}
        expected.append({**row, "value": json.loads(data)} if thing["encoding"] == "json" else row)
    tensors = [{**{key: t[key] for key in ("name", "type", "shape", "role")}, "digest": hash128(contents[t["name"]]).hex()}
               for t in root.text["tensors"]]
    put(f"{base}/expected.json", {"store": STORE.hex(), "checkpoints": [
        {"id": attempt.hex(), "run": RUN.hex(), "step": 40, "metrics": {"loss": 0.5}, "tensors": tensors, "objects": expected}]})


# ---- stores/first ---------------------------------------------------------------------------------------------------


def make_store():
    """Two checkpoints of one run: raw, lz4 and zstd blocks, packed tensors, objects, a segment used by both."""
    base, checkpoints = "stores/first", []
    put(f"{base}/store.json", store_json())
    embedding = pattern(16 * 64 * 4, "embedding")  # the same in both checkpoints: stored once, in the first segment
    first = None
    for step, epoch in ((10, 1), (20, 2)):
        attempt = make_id(f"first {step}")
        weight, moment = noise(32 * 32 * 4, f"weight {step}"), pattern(32 * 33 * 4, f"moment {step}")
        small = [("bias", "bf16", [33], noise(66, f"bias {step}"), "parameter"),
                 ("scale", "f32", [], noise(4, f"scale {step}"), "other"),
                 ("../mask\n\U0001f600", "bool", [2, 2, 2], bytes([1, 0, 1, 1, 0, 0, 1, step == 20]), "buffer")]
        config = json.dumps({"lr": 0.001, "layers": [32, 32], "step": step, "name": "caf\u00e9"}, ensure_ascii=False).encode()
        rng = noise(40, f"rng {step}")
        packed = b"".join(raw for _, _, _, raw, _ in small) + config + rng
        blocks = [Block(RAW, weight), Block(ZSTD, moment), Block(RAW, packed)]
        blocks += [Block(LZ4, embedding)] if first is None else []
        data = segment(blocks, 0, 0, attempt)
        put(f"{base}/segments/{segment_name(attempt)}", data)

        m = Manifest(id=attempt.hex(), run_name="first", step=step, created_ms=CREATED + step, groups=[
            {"name": "model", "epoch": epoch}, {"name": "optimizer", "epoch": epoch + 1}], metrics={"loss": 1 / step, "g": "nan"})
        m.add_segment(data, attempt)
        rows = [m.add_block(block) for block in blocks]
        tensors, digests = [], []

        def tensor(name, kind, shape, role, group, parts):
            start = len(m.chunks)
            for raw, block, offset in parts:
                m.add_chunk(raw, block, offset, m.text["groups"][group]["epoch"])
            m.add_tensor(name, kind, shape, start, len(parts), role, group)
            digests.append(hash128(b"".join(raw for raw, _, _ in parts)).hex())

        half = len(weight) // 2
        tensor("layer.weight", "f32", [32, 32], "parameter", 0, [(weight[:half], 0, 0), (weight[half:], 0, half)])
        if first is None:
            first = (data, attempt, blocks[3])
            where = rows[3]
        else:
            m.add_segment(first[0], first[1])
            where = m.add_block(first[2], 1)
        tensor("embedding", "f32", [16, 64], "parameter", 0, [(embedding, where, 0)])
        at = 0
        for name, kind, shape, raw, role in small:
            tensor(name, kind, shape, role, 0, [(raw, 2, at)])
            at += len(raw)
        tensor("layer.weight.m", "f32", [33, 32], "optimizer", 1, [(moment, 1, 0)])
        # the same moment once more, as two shards side by side: columns 0-15 and 16-31 of [33, 32]
        left = b"".join(moment[128 * n:128 * n + 64] for n in range(33))
        start = len(m.chunks)
        m.add_chunk(moment[:len(left)], 1, 0, epoch + 1)
        m.add_chunk(moment[len(left):], 1, len(left), epoch + 1)
        m.add_tensor("halves", "f32", [33, 32], 0, 0, "optimizer", 1)["shards"] = [
            {"offset": [0, 16 * n], "extent": [33, 16], "first": start + n, "count": 1} for n in (0, 1)]
        a, b = moment[:len(left)], moment[len(left):]
        digests.append(hash128(b"".join(a[64 * n:64 * n + 64] + b[64 * n:64 * n + 64] for n in range(33))).hex())
        m.add_tensor("none", "i64", [0], 0, 0, "other")
        digests.append(hash128(b"").hex())
        objects = []
        for name, role, encoding, raw in (("config", "config", "json", config), ("rng", "rng", "bytes", rng)):
            m.add_object(name, role, encoding, len(raw), m.add_chunk(raw, 2, at, 0), 1)
            objects.append({"name": name, "role": role, "encoding": encoding, "bytes": len(raw), "digest": hash128(raw).hex(),
                            **({"value": json.loads(raw)} if encoding == "json" else {})})
            at += len(raw)
        put(f"{base}/manifests/{RUN.hex()}-{step:020}.manifest", m.data())
        tensors = [{**{key: t[key] for key in ("name", "type", "shape", "role")}, "digest": digest}
                   for t, digest in zip(m.text["tensors"], digests)]
        checkpoints.append({"id": attempt.hex(), "run": RUN.hex(), "step": step, "metrics": m.text["metrics"],
                            "tensors": tensors, "objects": objects})
    put(f"{base}/expected.json", {"store": STORE.hex(), "checkpoints": checkpoints})


def make_objects_store():
    """One checkpoint of two objects and no tensor: integers beyond a signed 64-bit number, and an object of no bytes."""
    base, attempt = "stores/objects", make_id("objects")
    put(f"{base}/store.json", store_json())
    text = b'{"state":[18446744073709551615,-1,0.1,-0.0],"name":"caf\xc3\xa9"}'
    block = Block(RAW, text)
    data = segment([block], 0, 0, attempt)
    put(f"{base}/segments/{segment_name(attempt)}", data)
    m = Manifest(id=attempt.hex(), run_name="objects", step=1, groups=[])
    m.add_segment(data, attempt)
    m.add_object("generator", "rng", "json", len(text), m.add_chunk(text, m.add_block(block), 0, 0), 1)
    m.add_object("nothing", "other", "bytes", 0, 1, 0)
    put(f"{base}/manifests/{RUN.hex()}-{1:020}.manifest", m.data())
    objects = [{"name": "generator", "role": "rng", "encoding": "json", "bytes": len(text), "digest": hash128(text).hex(),
                "value": json.loads(text)},
               {"name": "nothing", "role": "other", "encoding": "bytes", "bytes": 0, "digest": hash128(b"").hex()}]
    checkpoint = {"id": attempt.hex(), "run": RUN.hex(), "step": 1, "metrics": {}, "tensors": [], "objects": objects}
    put(f"{base}/expected.json", {"store": STORE.hex(), "checkpoints": [checkpoint]})


def make_repacked_store():
    """Three checkpoints of one run; the oldest is a delta of the middle one, that one of the newest. Weights are casts of their masters."""
    base, checkpoints, newer = "stores/repacked", [], None
    put(f"{base}/store.json", store_json())
    masters = {step: floats(600, f"master {step // 100}", 0.02 + step / 1e6) for step in (10, 20, 30)}
    for step in (30, 20, 10):
        attempt, raw = make_id(f"repacked {step}"), masters[step]
        if newer is None:
            block = Block(RAW, raw)
        else:
            block = Block(DELTA, raw, sub_block(raw, 4, [2, 2, 2, 2], residual=3, base=newer[0][1].raw))
        data = segment([block], 0, 0, attempt)
        put(f"{base}/segments/{segment_name(attempt)}", data)
        m = Manifest(id=attempt.hex(), run_name="repacked", step=step, created_ms=CREATED + step)
        row = None
        for which, (older, old_block, old_attempt) in enumerate(reversed([(data, block, attempt)] + (newer or []))):
            m.add_segment(older, old_attempt)
            row = m.add_block(old_block, which) if row is None else m.add_delta(old_block, row, which)
        newer = [(data, block, attempt)] + (newer or [])
        m.required = (2 if len(newer) > 1 else 0) | 4
        half = cast(CAST_BF16, raw)
        m.add_tensor("master", "f32", [20, 30], m.add_chunk(raw, row, 0), 1, "optimizer")
        m.add_tensor("weight", "bf16", [20, 30], m.add_chunk(half, m.add_cast(CAST_BF16, len(half), row, 0), 0), 1)
        put(f"{base}/manifests/{RUN.hex()}-{step:020}.manifest", m.data())
        tensors = [{**{key: t[key] for key in ("name", "type", "shape", "role")}, "digest": hash128(content).hex()}
                   for t, content in zip(m.text["tensors"], (raw, half))]
        checkpoints.append({"id": attempt.hex(), "run": RUN.hex(), "step": step, "metrics": {}, "tensors": tensors, "objects": []})
    put(f"{base}/expected.json", {"store": STORE.hex(), "checkpoints": checkpoints[::-1]})


def main():
    make_store_vectors()
    make_segment_vectors()
    make_block_vectors()
    make_plane_vectors()
    make_valid_manifests()
    make_more_valid_manifests()
    make_origins()
    make_invalid_headers()
    make_invalid_types()
    make_invalid_rows()
    make_invalid_casts()
    make_invalid_json()
    make_store()
    make_objects_store()
    make_repacked_store()
    make_restarts_store()
    make_pieces()
    make_copies()
    make_pieces_store()
    make_ranks()
    make_ranks_store()
    new = different = 0
    for path, data in FILES.items():
        target = os.path.join(HERE, path)
        if os.path.exists(target):
            with open(target, "rb") as file:
                if file.read() != data:
                    different += 1
                    print(f"different: {path}; vectors only grow, so it is left as it is", file=sys.stderr)
            continue
        new += 1
        if "--check" not in sys.argv:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(data)
    print(f"{len(FILES)} files, {sum(map(len, FILES.values()))} bytes, {new} new, {different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
