package import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import SystemPackage

/// An error in reading or writing blocks and segments.
package enum SegmentError: Error, CustomStringConvertible {
    /// A system call failed.
    case io(FileSystemError)
    /// A segment that a manifest names does not exist: damage to the checkpoint.
    case missing(FileSystemError)
    /// The file breaks the format, or has a version, feature or codec that this software does not
    /// implement.
    case format(FilePath, FormatError)
    /// A block's stored bytes do not decode.
    case codec(FilePath, offset: Int, CodecError)
    /// There is no memory for reading a block. This is not damage: the file may be intact.
    case outOfMemory(OutOfMemory)
    /// The writer is unusable because of an earlier failure.
    case poisoned

    package var description: String {
        switch self {
        case .io(let error), .missing(let error): error.description
        case .format(let path, let error): "\(path): \(error)"
        case .codec(let path, let offset, let error): "\(path): block at offset \(offset): \(error)"
        case .outOfMemory(let error): error.description
        case .poisoned: "an earlier error has ended this save"
        }
    }
}

/// Runs `body` and converts a file system error to `SegmentError.io`.
package func wrappingIO<R>(_ body: () throws(FileSystemError) -> R) throws(SegmentError) -> R {
    do { return try body() } catch { throw .io(error) }
}

/// Runs `body` and converts a format error to `SegmentError.format`.
///
/// - Parameters:
///   - path: The file, for the error.
///   - body: The code to run.
package func wrappingFormat<R>(_ path: FilePath, _ body: () throws(FormatError) -> R) throws(SegmentError) -> R {
    do { return try body() } catch { throw .format(path, error) }
}
