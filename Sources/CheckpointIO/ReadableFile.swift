/// A file that is open for reading.
package protocol ReadableFile: AnyObject, Sendable {
    /// Size in bytes at the time it was opened.
    var size: Int { get }

    /// Fills `bytes` from the file.
    ///
    /// - Parameters:
    ///   - bytes: The memory to fill.
    ///   - offset: Offset in the file, in bytes.
    /// - Throws: `.outOfRange` if the file ends too early; otherwise the error of the system call.
    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError)
}

extension ReadableFile {
    /// Reads `count` bytes.
    ///
    /// - Parameters:
    ///   - count: Number of bytes.
    ///   - offset: Offset in the file, in bytes.
    /// - Throws: `.outOfRange` if the file ends too early; otherwise the error of the system call.
    package func read(count: Int, at offset: Int) throws(FileSystemError) -> [UInt8] {
        var failure: FileSystemError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(FileSystemError) {
                unsafe try read(into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]), at: offset)
                initialized = count
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }
}
