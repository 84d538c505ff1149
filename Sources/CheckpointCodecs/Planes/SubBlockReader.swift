internal import CKernels
package import CheckpointFormat

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
