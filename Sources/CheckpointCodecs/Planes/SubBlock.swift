internal import CKernels
package import CheckpointFormat

/// What was done to the elements of a sub-block before they were split into planes (Formats/codecs.md, Sub-blocks).
package struct PlaneTransform: Equatable, Sendable {
    package enum Residual: UInt8, Sendable, CaseIterable {
        case none, xor, difference, ordered
    }

    /// Of an element, in bytes: 1, 2, 4 or 8.
    package var width: Int
    package var isRotated = false
    package var residual = Residual.none

    package init(width: Int, isRotated: Bool = false, residual: Residual = .none) {
        self.width = width
        self.isRotated = isRotated
        self.residual = residual
    }

    /// Whether the format allows it.
    package var isValid: Bool {
        [1, 2, 4, 8].contains(width) && !(isRotated && (width == 1 || residual == .difference || residual == .ordered))
    }
}

/// How the bytes of one plane are stored.
package enum PlaneMode: UInt8, Sendable, CaseIterable {
    case constant, raw, zstd, top
}

/// A row of a sub-block's header.
package struct PlaneRow: Equatable, Sendable {
    static let bytes = 4

    package var mode: PlaneMode
    /// Of mode `top`: the bits of a code, 1 to 4; else 0.
    package var bits = 0
    /// Of mode `top`: the bits of a code of the escapes, 0 to 4; 0: they are as they are.
    package var inner = 0
    package var storedBytes: Int

    func write(to memory: UnsafeMutableRawPointer) {
        let word = UInt32(storedBytes) | UInt32(mode.rawValue) << 24 | UInt32(max(bits, 1) - 1) << 26 | UInt32(inner) << 28
        unsafe memory.storeBytes(of: word, as: UInt32.self)
    }
}

/// The start of a sub-block.
package struct SubBlockHeader: Equatable, Sendable {
    package static let rawBytesMax = 512 << 10
    static let bytes = 4

    package var rawBytes: Int
    package var transform: PlaneTransform

    /// Bytes of each plane.
    var planeBytes: Int { rawBytes / transform.width }
    var tailBytes: Int { rawBytes % transform.width }
    /// Of header and rows.
    var headerBytes: Int { Self.bytes + PlaneRow.bytes * transform.width }

    /// Of the whole sub-block, with payloads of `payloadBytes` bytes together.
    package func storedBytes(_ payloadBytes: Int) -> Int { headerBytes + payloadBytes + tailBytes }

    init(rawBytes: Int, transform: PlaneTransform) {
        self.rawBytes = rawBytes
        self.transform = transform
    }

    func write(to memory: UnsafeMutableRawPointer) {
        let layout = transform.width.trailingZeroBitCount | (transform.isRotated ? 4 : 0) | Int(transform.residual.rawValue) << 3
        unsafe memory.storeBytes(of: UInt32(rawBytes | layout << 24), as: UInt32.self)
    }
}

/// Reads the headers of sub-blocks, and holds each field against its range and against the bytes that are left.
@safe
package struct SubBlockReader {
    private let stored: UnsafeRawBufferPointer
    private let codec: CodecIdentifier
    package private(set) var offset = 0

    package init(_ stored: UnsafeRawBufferPointer, codec: CodecIdentifier) {
        unsafe self.stored = stored
        self.codec = codec
    }

    package var isAtEnd: Bool { unsafe offset == stored.count }
    private var left: Int { unsafe stored.count - offset }

    /// The header at `offset`, for a block of which `rawLeft` bytes are still to come.
    package mutating func header(rawLeft: Int) throws(CodecError) -> SubBlockHeader {
        guard left >= SubBlockHeader.bytes else { throw fault(0, "\(left) bytes left for the header of a sub-block") }
        let word = Int(unsafe stored.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        let rawBytes = word & 0xFF_FFFF
        guard rawBytes > 0, rawBytes <= min(SubBlockHeader.rawBytesMax, rawLeft) else {
            throw fault(0, "a sub-block of \(rawBytes) bytes where \(rawLeft) are left of the block")
        }
        let header = SubBlockHeader(rawBytes: rawBytes, transform: try transform(word >> 24))
        guard header.planeBytes > 0 else { throw fault(0, "\(rawBytes) bytes are less than one element") }
        guard left >= header.headerBytes + header.tailBytes else { throw fault(0, "the header of a sub-block is cut short") }
        return header
    }

    private func transform(_ layout: Int) throws(CodecError) -> PlaneTransform {
        guard let residual = PlaneTransform.Residual(rawValue: UInt8(layout >> 3)) else { throw fault(3, "an unknown layout") }
        guard residual == .none || codec == .delta else { throw fault(3, "a residual without a base") }
        let transform = PlaneTransform(width: 1 << (layout & 3), isRotated: layout & 4 != 0, residual: residual)
        guard transform.isValid else { throw fault(3, "a layout that the format does not allow") }
        return transform
    }

    /// The row of a plane, before any payload is read.
    package func row(_ plane: Int, of header: SubBlockHeader) throws(CodecError) -> PlaneRow {
        let at = SubBlockHeader.bytes + PlaneRow.bytes * plane
        let word = Int(unsafe stored.loadUnaligned(fromByteOffset: offset + at, as: UInt32.self))
        let (storedBytes, kind) = (word & 0xFF_FFFF, word >> 24)
        guard let mode = PlaneMode(rawValue: UInt8(kind & 3)), kind >> 4 <= 4, mode == .top || kind < 4 else {
            throw fault(at + 3, "an unknown mode of plane \(plane)")
        }
        let row = PlaneRow(mode: mode, bits: mode == .top ? kind >> 2 & 3 + 1 : 0, inner: kind >> 4, storedBytes: storedBytes)
        guard row.isPossible(planeBytes: header.planeBytes) else {
            throw fault(at, "plane \(plane) of \(header.planeBytes) bytes is said to be stored in \(storedBytes)")
        }
        return row
    }

    /// Ends of payloads are counted from `offset`; one that does not fit is damage.
    func payload(from start: Int, _ bytes: Int, of plane: Int) throws(CodecError) -> UnsafeRawBufferPointer {
        guard bytes <= left - start else { throw fault(start, "the payload of plane \(plane) is cut short") }
        return unsafe UnsafeRawBufferPointer(rebasing: stored[offset + start..<offset + start + bytes])
    }

    /// Goes on behind a sub-block of `bytes` stored bytes.
    package mutating func advance(_ bytes: Int) throws(CodecError) {
        guard bytes <= left else { throw fault(0, "a sub-block is cut short") }
        offset += bytes
    }

    func fault(_ at: Int, _ message: String) -> CodecError { CodecError(codec, "\(message), at stored offset \(offset + at)") }
}

extension PlaneRow {
    /// Whether a plane can be stored like this; how many escapes and what frame there are, only decoding tells.
    func isPossible(planeBytes: Int) -> Bool {
        switch mode {
        case .constant: storedBytes == 1
        case .raw: storedBytes == planeBytes
        case .zstd: storedBytes > 0
        case .top: storedBytes >= TopLayout(bits: bits, count: planeBytes).wordsEnd + (inner == 0 ? 0 : TopLayout.countBytes)
        }
    }
}

/// Where things lie in `count` bytes of mode `top`: table, words, escapes.
struct TopLayout {
    /// Of the number that stands before coded escapes.
    static let countBytes = 4

    let bits: Int
    let tableBytes: Int
    let wordsEnd: Int

    init(bits: Int, count: Int) {
        self.bits = bits
        tableBytes = 1 << bits - 1
        wordsEnd = tableBytes + (count + 63) / 64 * 8 * bits
    }
}
