package import SystemPackage

/// The error of a chunk that does not have the hash taken when it was captured.
package struct ChunkMismatch: Error, Equatable, CustomStringConvertible {
    /// The segment's file.
    package var path: FilePath
    /// Offset of the block in that file, in bytes. For a cast, the offset of its base.
    package var offset: Int
    /// Range of the chunk in the block's raw bytes.
    package var range: Range<Int>

    package var description: String {
        "\(path): block at offset \(offset): \(range.count) bytes differ from the captured ones"
    }
}

extension ChunkMismatch: CheckpointErrorConvertible {
    /// The error of the public interface; every message of a mismatch is made here.
    package var checkpointError: CheckpointError {
        CheckpointError(
            .damaged, description, remedy: CheckpointError.remedyOfDamage, path: path.string,
            offset: offset)
    }

    package func checkpointError(during action: String) -> CheckpointError { checkpointError }
}
