package import CheckpointIO
package import CheckpointState
package import SystemPackage

/// A foreign file, lent to the engine as a device: the engine cannot read this memory itself, and
/// has it copied a chunk at a time.
///
/// Nothing is mapped, so truncation of a file while it is read causes an error and not a signal.
/// Only a few of many files are open at one time.
package final class ForeignFile: FileDevice {
    package let path: FilePath
    /// Size in bytes at the time of opening.
    package let size: Int
    private let source: Source

    private enum Source {
        /// A file with a name, which is opened when it is read.
        case named(OpenFiles.Entry, OpenFiles)
        /// A file without a name, which stays open.
        case held(any ReadableFile)
    }

    /// Opens a file.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - files: the file system.
    /// - Throws: `ExchangeError` if the file does not exist or cannot be read.
    package convenience init(_ path: FilePath, in files: any FileSystem) throws(ExchangeError) {
        try self.init(path, in: OpenFiles(files))
    }

    /// Opens a file as one of many.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - opened: the files of the import; it limits the number of open descriptors.
    /// - Throws: `ExchangeError` if the file does not exist or cannot be read.
    init(_ path: FilePath, in opened: OpenFiles) throws(ExchangeError) {
        let entry = try exchanging { () throws(FileSystemError) in try opened.open(path) }
        self.path = path
        size = entry.size
        source = .named(entry, opened)
    }

    /// Wraps a file that has grown since it was opened, and has no name to open it again.
    ///
    /// - Parameters:
    ///   - path: path for messages.
    ///   - file: the open file.
    ///   - size: current size in bytes.
    init(_ path: FilePath, _ file: any ReadableFile, size: Int) {
        self.path = path
        self.size = size
        source = .held(file)
    }

    deinit {
        if case .named(let entry, let opened) = source { opened.close(entry) }
    }

    private func opened() throws(FileSystemError) -> any ReadableFile {
        switch source {
        case .named(let entry, let opened): try opened.file(entry)
        case .held(let file): file
        }
    }

    /// Reads bytes of the file.
    ///
    /// - Parameters:
    ///   - count: number of bytes.
    ///   - offset: offset of the first byte.
    /// - Returns: exactly `count` bytes.
    /// - Throws: `ExchangeError` if the range is not inside the file, or reading fails.
    package func read(count: Int, at offset: Int) throws(ExchangeError) -> [UInt8] {
        guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
            throw .damage(path.string, "\(count) bytes at offset \(offset) are outside its \(size) bytes")
        }
        return try exchanging { () throws(FileSystemError) in try opened().read(count: count, at: offset) }
    }

    /// Lends the bytes of one tensor's storage.
    ///
    /// - Parameter range: byte range, which must be inside the file.
    /// - Returns: the range of this file.
    package func lend(_ range: Range<Int>) -> FileMemory {
        precondition(range.lowerBound >= 0 && range.upperBound <= size)
        return FileMemory(file: self, range: range)
    }

    // MARK: TensorDevice

    package var name: String { path.string }

    package func startCopy(
        from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        do throws(FileSystemError) {
            unsafe try opened().read(into: destination, at: Int(address.rawValue))
        } catch {
            throw DeviceError("\(error): did the file change while it was read?")
        }
        return DeviceCopy(id: 0)
    }

    package func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy {
        throw DeviceError("\(path) is open only for reading")
    }
}
