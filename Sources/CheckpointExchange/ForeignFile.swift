package import CheckpointIO
package import CheckpointState
package import SystemPackage

/// A foreign file, lent to the engine as a device: memory that it cannot read itself and has copied for it, a chunk at a time.
///
/// Nothing is mapped, so that a file which is cut short while it is read is an error and not a signal; and of many files few are open.
package final class ForeignFile: FileDevice {
    package let path: FilePath
    /// Size in bytes, when it was opened.
    package let size: Int
    private let source: Source

    private enum Source {
        /// One of many, open when it is read.
        case named(OpenFiles.Entry, OpenFiles)
        /// One without a name.
        case held(any ReadableFile)
    }

    package convenience init(_ path: FilePath, in files: any FileSystem) throws(ExchangeError) {
        try self.init(path, in: OpenFiles(files))
    }

    init(_ path: FilePath, in opened: OpenFiles) throws(ExchangeError) {
        let entry = try exchanging { () throws(FileSystemError) in try opened.open(path) }
        self.path = path
        size = entry.size
        source = .named(entry, opened)
    }

    /// A file that has grown since it was opened, and has no name to open it again by.
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

    /// `count` bytes from `offset`, which must lie inside the file.
    package func read(count: Int, at offset: Int) throws(ExchangeError) -> [UInt8] {
        guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
            throw .damage(path.string, "\(count) bytes at offset \(offset) lie outside of its \(size) bytes")
        }
        return try exchanging { () throws(FileSystemError) in try opened().read(count: count, at: offset) }
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
            unsafe try opened().read(into: destination, at: Int(address.rawValue))
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
