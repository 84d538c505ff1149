package import CheckpointIO
package import CheckpointState
package import SystemPackage

/// A foreign file, lent to the engine as a device: memory that it cannot read itself and has copied for it, a chunk at a time.
///
/// Nothing is mapped, so that a file which is cut short while it is read is an error and not a signal; and nothing is held.
package final class ForeignFile: FileDevice {
    package let path: FilePath
    /// Size in bytes, when it was opened.
    package let size: Int
    private let file: any ReadableFile

    package init(_ path: FilePath, in files: any FileSystem) throws(ExchangeError) {
        self.path = path
        file = try exchanging { () throws(FileSystemError) in try files.open(path) }
        size = file.size
    }

    /// A file that has grown since it was opened.
    init(_ path: FilePath, _ file: any ReadableFile, size: Int) {
        self.path = path
        self.file = file
        self.size = size
    }

    /// `count` bytes from `offset`, which must lie inside the file.
    package func read(count: Int, at offset: Int) throws(ExchangeError) -> [UInt8] {
        guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
            throw .damage(path.string, "\(count) bytes at offset \(offset) lie outside of its \(size) bytes")
        }
        return try exchanging { () throws(FileSystemError) in try file.read(count: count, at: offset) }
    }

    /// The bytes of one tensor's storage, which must lie inside the file.
    package func lend(_ range: Range<Int>) -> FileMemory {
        precondition(range.lowerBound >= 0 && range.upperBound <= size)
        return FileMemory(file: self, range: range)
    }

    // MARK: Device

    package var name: String { path.string }

    package func startCopy(
        from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        do throws(FileSystemError) {
            unsafe try file.read(into: destination, at: Int(address.rawValue))
        } catch {
            throw DeviceError("\(error): did it change while it was read?")
        }
        return DeviceCopy(id: 0)
    }

    package func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy {
        throw DeviceError("\(path) is open for reading only")
    }
}

/// A stretch of a foreign file.
package struct FileMemory: Sendable {
    let file: ForeignFile
    let range: Range<Int>

    var memory: LentMemory {
        LentMemory(device: file, address: DeviceAddress(rawValue: UInt64(range.lowerBound)), byteCount: range.count)
    }
}
