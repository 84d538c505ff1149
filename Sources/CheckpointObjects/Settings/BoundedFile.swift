internal import Glibc

/// Reads small files of settings and tokens.
enum BoundedFile {
    /// Reads a file.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - shown: its name in errors.
    ///   - sizeMax: its greatest size in bytes.
    /// - Returns: the content; nil if the file does not exist.
    /// - Throws: `SettingsError` if the file cannot be read or is too large.
    static func read(
        _ path: String, shown: String, sizeMax: Int
    ) throws(SettingsError) -> [UInt8]? {
        guard !path.utf8.contains(0) else { return nil }
        // Without O_NONBLOCK, opening a FIFO that nobody writes would wait forever.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw failure(shown, errno)
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(shown, errno) }
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= sizeMax else {
                throw SettingsError(
                    shown, "the file is over \(sizeMax >> 10) KiB",
                    "Give the path of the right file, or shorten the file")
            }
        }
    }

    private static func failure(_ shown: String, _ number: Int32) -> SettingsError {
        let text = unsafe String(cString: strerror(number))
        return SettingsError(shown, "the file cannot be read: \(text)", "Check its permissions")
    }
}
