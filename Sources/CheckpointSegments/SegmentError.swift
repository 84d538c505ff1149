package import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import SystemPackage

/// What can go wrong with blocks and segments.
package enum SegmentError: Error, CustomStringConvertible {
    /// The file system failed.
    case io(FileSystemError)
    /// A segment that a manifest names does not exist: damage to the checkpoint.
    case missing(FileSystemError)
    /// The file breaks the format, or is of a kind that this software does not know.
    case format(FilePath, FormatError)
    /// A block's stored bytes do not decode.
    case codec(FilePath, offset: Int, CodecError)
    /// No memory to read a block into. Not damage: the file may be whole.
    case outOfMemory(OutOfMemory)
    /// An earlier failure has made the writer unusable.
    case poisoned

    package var description: String {
        switch self {
        case .io(let error), .missing(let error): error.description
        case .format(let path, let error): "\(path): \(error)"
        case .codec(let path, let offset, let error): "\(path): block at offset \(offset): \(error)"
        case .outOfMemory(let error): error.description
        case .poisoned: "an earlier write of this segment failed"
        }
    }
}

/// Runs `body`, turning a file system's error into the layer's own.
package func wrappingIO<R>(_ body: () throws(FileSystemError) -> R) throws(SegmentError) -> R {
    do { return try body() } catch { throw .io(error) }
}

package func wrappingFormat<R>(_ path: FilePath, _ body: () throws(FormatError) -> R) throws(SegmentError) -> R {
    do { return try body() } catch { throw .format(path, error) }
}
