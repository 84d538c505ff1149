internal import CKernels
package import CheckpointFormat

/// The transform of a sub-block's elements before they are split into planes (Formats/codecs.md,
/// Sub-blocks).
package struct PlaneTransform: Equatable, Sendable {
    /// Operation on an element and the base's element at the same place.
    package enum Residual: UInt8, Sendable, CaseIterable {
        case none, xor, difference, ordered
    }

    /// Size of an element in bytes: 1, 2, 4 or 8.
    package var width: Int
    /// Rotation to the left in bits: 0 to 7.
    package var rotation = 0
    package var residual = Residual.none
    /// True if elements are sorted by their keys.
    package var isSorted = false

    /// Creates a transform.
    ///
    /// - Parameters:
    ///   - width: Size of an element in bytes: 1, 2, 4 or 8.
    ///   - rotation: Rotation to the left in bits: 0 to 7; 0 for width 1.
    ///   - residual: Operation on the element and the base's element.
    ///   - isSorted: Elements are sorted by their keys; false for width 1.
    package init(width: Int, rotation: Int = 0, residual: Residual = .none, isSorted: Bool = false)
    {
        self.width = width
        self.rotation = rotation
        self.residual = residual
        self.isSorted = isSorted
    }

    /// True if the format allows the transform.
    package var isValid: Bool {
        [1, 2, 4, 8].contains(width) && (0...7).contains(rotation)
            && !(width == 1 && (rotation != 0 || isSorted))
    }

    /// True if the keys come from a grid that is stored with the elements.
    package var hasGrid: Bool { isSorted && residual == .none }

    /// The bits above the length in the header's first word.
    var layout: Int {
        let rotated = (rotation & 1) << 2 | (rotation >> 1) << 5
        return width.trailingZeroBitCount | rotated | Int(residual.rawValue) << 3
            | (isSorted ? 128 : 0)
    }

    init?(layout: Int) {
        guard let residual = Residual(rawValue: UInt8(layout >> 3 & 3)) else { return nil }
        self.init(
            width: 1 << (layout & 3), rotation: layout >> 2 & 1 | (layout >> 5 & 3) << 1,
            residual: residual, isSorted: layout & 128 != 0)
        if !isValid { return nil }
    }
}

/// Encoding of one plane.
package enum PlaneMode: UInt8, Sendable, CaseIterable {
    case constant, raw, zstd, top
}

/// A row of a sub-block's header, which describes one plane.
package struct PlaneRow: Equatable, Sendable {
    static let bytes = 4

    package var mode: PlaneMode
    /// In mode `top`: bits in a code, 1 to 4. Otherwise 0.
    package var bits = 0
    /// In mode `top`: bits in a code of the escapes, 1 to 4; 0 if they are not encoded.
    package var inner = 0
    package var storedBytes: Int

    func write(to memory: UnsafeMutableRawPointer) {
        let word =
            UInt32(storedBytes) | UInt32(mode.rawValue) << 24 | UInt32(max(bits, 1) - 1) << 26
            | UInt32(inner) << 28
        unsafe memory.storeBytes(of: word, as: UInt32.self)
    }
}

/// Position of a sub-block's elements in the rows and columns of a tensor.
package struct SubBlockGrid: Equatable, Sendable {
    static let bytes = 8

    package var columns: Int
    /// Column of the first element.
    package var first: Int

    package init(columns: Int, first: Int) { (self.columns, self.first) = (columns, first) }

    /// Returns the number of rows that this number of elements spans.
    func rows(_ elements: Int) -> Int { (first + elements - 1) / columns + 1 }

    /// Returns true if the format allows the grid for this number of elements.
    func isPossible(_ elements: Int) -> Bool {
        (2...max(elements, 2)).contains(columns) && elements >= 2 && (0..<columns).contains(first)
    }

    func write(to memory: UnsafeMutableRawPointer) {
        unsafe memory.storeBytes(of: UInt32(columns), as: UInt32.self)
        unsafe memory.storeBytes(of: UInt32(first), toByteOffset: 4, as: UInt32.self)
    }
}

/// Header of a sub-block.
package struct SubBlockHeader: Equatable, Sendable {
    package static let rawBytesMax = 512 << 10
    static let bytes = 4

    package var rawBytes: Int
    package var transform: PlaneTransform
    /// The grid, if the transform has one.
    package var grid: SubBlockGrid?

    /// Size of each plane of elements in bytes.
    var planeBytes: Int { rawBytes / transform.width }
    var tailBytes: Int { rawBytes % transform.width }
    /// Number of planes, including those of columns and rows.
    package var planeCount: Int { transform.width + (transform.hasGrid ? 2 : 0) }
    /// Offset of the rows in the sub-block, in bytes.
    var rowsOffset: Int { Self.bytes + (transform.hasGrid ? SubBlockGrid.bytes : 0) }
    /// Size of the header and its rows in bytes.
    var headerBytes: Int { rowsOffset + PlaneRow.bytes * planeCount }

    /// Returns the size of a plane before encoding, in bytes.
    func bytes(ofPlane plane: Int) -> Int {
        guard let grid, plane >= transform.width else { return planeBytes }
        return plane == transform.width ? grid.columns : grid.rows(planeBytes)
    }

    /// Returns the size of the stored sub-block in bytes.
    ///
    /// - Parameter payloadBytes: Total size of the payloads in bytes.
    package func storedBytes(_ payloadBytes: Int) -> Int { headerBytes + payloadBytes + tailBytes }

    init(rawBytes: Int, transform: PlaneTransform, grid: SubBlockGrid? = nil) {
        self.rawBytes = rawBytes
        self.transform = transform
        self.grid = grid
    }

    func write(to memory: UnsafeMutableRawPointer) {
        unsafe memory.storeBytes(of: UInt32(rawBytes | transform.layout << 24), as: UInt32.self)
        unsafe grid?.write(to: memory + Self.bytes)
    }
}

/// Reader of sub-block headers. It compares each field with its range and with the bytes that
/// remain.
@safe
package struct SubBlockReader {
    private let stored: UnsafeRawBufferPointer
    private let codec: CodecIdentifier
    package private(set) var offset = 0

    /// Creates a reader at the start of a block.
    ///
    /// - Parameters:
    ///   - stored: The stored bytes of the block.
    ///   - codec: Codec 3 or 4.
    package init(_ stored: UnsafeRawBufferPointer, codec: CodecIdentifier) {
        unsafe self.stored = stored
        self.codec = codec
    }

    package var isAtEnd: Bool { unsafe offset == stored.count }
    private var left: Int { unsafe stored.count - offset }

    /// Reads the header at `offset`.
    ///
    /// - Parameter rawLeft: Number of raw bytes of the block that have not been decoded.
    /// - Returns: The header. Its rows fit; its payloads have not been checked.
    /// - Throws: `CodecError` if a field is invalid or the bytes end too early.
    package mutating func header(rawLeft: Int) throws(CodecError) -> SubBlockHeader {
        guard left >= SubBlockHeader.bytes else {
            throw fault(0, "only \(left) bytes are left for the header of a sub-block")
        }
        let word = Int(unsafe stored.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        let rawBytes = word & 0xFF_FFFF
        guard rawBytes > 0, rawBytes <= min(SubBlockHeader.rawBytesMax, rawLeft) else {
            throw fault(
                0, "a sub-block has \(rawBytes) bytes, but \(rawLeft) are left of the block")
        }
        var header = SubBlockHeader(rawBytes: rawBytes, transform: try transform(word >> 24))
        guard header.planeBytes > 0 else {
            throw fault(0, "\(rawBytes) bytes are less than one element")
        }
        if header.transform.hasGrid { header.grid = try grid(header.planeBytes) }
        guard left >= header.headerBytes + header.tailBytes else {
            throw fault(0, "the header of a sub-block is truncated")
        }
        return header
    }

    private func transform(_ layout: Int) throws(CodecError) -> PlaneTransform {
        guard let transform = PlaneTransform(layout: layout) else {
            throw fault(3, "invalid layout of a sub-block")
        }
        guard transform.residual == .none || codec == .delta else {
            throw fault(3, "a residual has no base")
        }
        return transform
    }

    private func grid(_ elements: Int) throws(CodecError) -> SubBlockGrid {
        let at = SubBlockHeader.bytes
        guard left >= at + SubBlockGrid.bytes else {
            throw fault(at, "the grid of a sub-block is truncated")
        }
        let columns = unsafe stored.loadUnaligned(fromByteOffset: offset + at, as: UInt32.self)
        let first = unsafe stored.loadUnaligned(fromByteOffset: offset + at + 4, as: UInt32.self)
        let grid = SubBlockGrid(columns: Int(columns), first: Int(first))
        guard grid.isPossible(elements) else {
            throw fault(
                at, "\(elements) elements do not fit \(columns) columns from column \(first) on")
        }
        return grid
    }

    /// Reads the row of a plane. Payloads are not read.
    ///
    /// - Parameters:
    ///   - plane: Index of the plane, less than `header.planeCount`.
    ///   - header: The header at `offset`.
    /// - Throws: `CodecError` if the mode is unknown or the size is impossible in it.
    package func row(_ plane: Int, of header: SubBlockHeader) throws(CodecError) -> PlaneRow {
        let at = header.rowsOffset + PlaneRow.bytes * plane
        let word = Int(unsafe stored.loadUnaligned(fromByteOffset: offset + at, as: UInt32.self))
        let (storedBytes, kind) = (word & 0xFF_FFFF, word >> 24)
        guard let mode = PlaneMode(rawValue: UInt8(kind & 3)), kind >> 4 <= 4,
            mode == .top || kind < 4
        else {
            throw fault(at + 3, "plane \(plane) has an unknown mode")
        }
        let row = PlaneRow(
            mode: mode, bits: mode == .top ? kind >> 2 & 3 + 1 : 0, inner: kind >> 4,
            storedBytes: storedBytes)
        guard row.isPossible(planeBytes: header.bytes(ofPlane: plane)) else {
            throw fault(
                at,
                "plane \(plane) has \(header.bytes(ofPlane: plane)) bytes, but \(storedBytes) stored bytes"
            )
        }
        return row
    }

    /// Returns the payload of a plane.
    ///
    /// - Parameters:
    ///   - start: Start of the payload, counted from `offset`.
    ///   - bytes: Size of the payload in bytes.
    ///   - plane: Index of the plane, for the error.
    /// - Throws: `CodecError` if the payload does not fit.
    func payload(from start: Int, _ bytes: Int, of plane: Int) throws(CodecError)
        -> UnsafeRawBufferPointer
    {
        guard bytes <= left - start else {
            throw fault(start, "the payload of plane \(plane) is truncated")
        }
        return unsafe UnsafeRawBufferPointer(
            rebasing: stored[offset + start..<offset + start + bytes])
    }

    /// Moves on to the next sub-block.
    ///
    /// - Parameter bytes: Size of the stored sub-block in bytes.
    /// - Throws: `CodecError` if fewer bytes remain.
    package mutating func advance(_ bytes: Int) throws(CodecError) {
        guard bytes <= left else { throw fault(0, "a sub-block is truncated") }
        offset += bytes
    }

    func fault(_ at: Int, _ message: String) -> CodecError {
        CodecError(codec, "\(message), at stored offset \(offset + at)")
    }
}

extension PlaneRow {
    /// Returns true if the size is possible in the mode. The number of escapes and the validity of
    /// a frame are only known after decoding.
    func isPossible(planeBytes: Int) -> Bool {
        switch mode {
        case .constant: storedBytes == 1
        case .raw: storedBytes == planeBytes
        case .zstd: storedBytes > 0
        case .top:
            storedBytes >= TopLayout(bits: bits, count: planeBytes).wordsEnd
                + (inner == 0 ? 0 : TopLayout.countBytes)
        }
    }
}

/// Offsets of table, words and escapes in the encoding of `count` bytes in mode `top`.
struct TopLayout {
    /// Size of the number before encoded escapes, in bytes.
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
