internal import CKernels
internal import CheckpointFormat

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
