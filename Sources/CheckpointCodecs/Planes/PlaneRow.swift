internal import CKernels
internal import CheckpointFormat

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
