internal import CheckpointIO
internal import CheckpointState

/// A byte range of a foreign file.
package struct FileMemory: Sendable {
    let file: ForeignFile
    let range: Range<Int>

    var memory: LentMemory {
        LentMemory(device: file, address: DeviceAddress(rawValue: UInt64(range.lowerBound)), byteCount: range.count)
    }
}
