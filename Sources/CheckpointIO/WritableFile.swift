/// A file that is open for writing.
package protocol WritableFile: AnyObject, Sendable {
    /// Writes all bytes. Several threads may write disjoint ranges at the same time.
    ///
    /// - Parameters:
    ///   - bytes: The bytes to write. Page-aligned memory, count and offset allow direct I/O.
    ///   - offset: Offset in the file, in bytes.
    /// - Throws: The error of the system call; a part of the bytes may have been written.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError)

    /// Truncates the file to `count` bytes, or extends it with zeros.
    func truncate(to count: Int) throws(FileSystemError)

    /// Makes the bytes durable (fsync(2)). After an error the file's content is unknown, and the
    /// file must be abandoned.
    func sync() throws(FileSystemError)

    /// Closes the file. Closing it again has no effect.
    func close()
}

extension WritableFile {
    /// Writes all bytes of an array.
    ///
    /// - Parameters:
    ///   - bytes: The bytes to write.
    ///   - offset: Offset in the file, in bytes.
    /// - Throws: The error of the system call. A part of the bytes may have been written.
    package func write(_ bytes: [UInt8], at offset: Int) throws(FileSystemError) {
        let result = unsafe bytes.withUnsafeBytes { bytes -> Result<Void, FileSystemError> in
            do throws(FileSystemError) {
                unsafe try write(bytes, at: offset)
                return .success(())
            } catch { return .failure(error) }
        }
        try result.get()
    }
}
