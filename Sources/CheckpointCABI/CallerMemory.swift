internal import CheckpointStorage

/// Arguments in the memory of a caller: texts, structures that begin with their size, and results.
enum CallerMemory {
    /// Maximum size of a structure in bytes; a larger one is a mistake.
    private static let structBytesMax = 64 << 10

    /// Returns a text.
    ///
    /// - Parameters:
    ///   - pointer: text that ends with a zero byte.
    ///   - name: name of the argument.
    /// - Throws: code `misuse` if the pointer is NULL, or the text is not UTF-8.
    static func text(_ pointer: UnsafePointer<CChar>?, _ name: String) throws(CheckpointError)
        -> String
    {
        guard let text = unsafe try optionalText(pointer, name) else {
            throw .argument("the argument \(name) is NULL")
        }
        return text
    }

    /// Returns a text; nil if the pointer is NULL.
    static func optionalText(
        _ pointer: UnsafePointer<CChar>?, _ name: String
    ) throws(CheckpointError) -> String? {
        guard let pointer = unsafe pointer else { return nil }
        guard let text = unsafe String(validatingCString: pointer) else {
            throw .argument("the argument \(name) is not UTF-8")
        }
        return text
    }

    /// Returns the size that a structure says it has.
    static func size(_ structure: UnsafeRawPointer, _ name: String) throws(CheckpointError) -> Int {
        let size = unsafe structure.loadUnaligned(as: UInt.self)
        guard (UInt(MemoryLayout<UInt>.size)...UInt(structBytesMax)).contains(size) else {
            throw .argument(
                "struct_size of \(name) is \(size), which is not valid",
                remedy: "Set struct_size to the size of the structure")
        }
        return Int(size)
    }

    /// Copies a structure; fields that the caller's version of it does not have are zero.
    ///
    /// - Parameters:
    ///   - pointer: the structure; begins with its size.
    ///   - zero: the structure with all fields zero.
    ///   - name: name of the argument.
    static func read<T: BitwiseCopyable>(
        _ pointer: UnsafeRawPointer, zero: T, size: Int
    ) -> T {
        var value = zero
        unsafe withUnsafeMutableBytes(of: &value) { bytes in
            let count = min(size, bytes.count)
            unsafe bytes.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: count))
        }
        return value
    }

    /// Writes a structure over the caller's, except for its size.
    ///
    /// - Parameters:
    ///   - value: the new fields.
    ///   - pointer: the caller's structure.
    ///   - size: size of the caller's structure in bytes.
    static func write<T: BitwiseCopyable>(
        _ value: T, to pointer: UnsafeMutableRawPointer, size: Int
    ) {
        let header = MemoryLayout<UInt>.size
        unsafe withUnsafeBytes(of: value) { bytes in
            let count = min(size, bytes.count) - header
            guard count > 0, let start = bytes.baseAddress else { return }
            unsafe (pointer + header).copyMemory(from: start + header, byteCount: count)
        }
    }

    /// Writes a structure over the caller's, whose size is read from it.
    ///
    /// - Throws: code `misuse` if the pointer is NULL, or the size is wrong.
    static func write<T: BitwiseCopyable>(
        _ value: T, to pointer: UnsafeMutablePointer<T>?, _ name: String
    ) throws(CheckpointError) {
        let raw = unsafe UnsafeMutableRawPointer(try required(pointer, name))
        unsafe write(value, to: raw, size: try size(UnsafeRawPointer(raw), name))
    }

    /// Copies a text into a field of a structure, with a zero byte after it; a text that is too
    /// long is cut between two characters.
    static func put<T: BitwiseCopyable>(_ text: String, in field: inout T) {
        unsafe withUnsafeMutableBytes(of: &field) { bytes in
            var end = 0
            for scalar in text.unicodeScalars {
                let encoded = String(scalar).utf8
                guard end + encoded.count < bytes.count else { break }
                for byte in encoded {
                    unsafe bytes[end] = byte
                    end += 1
                }
            }
            unsafe bytes[end] = 0
        }
    }

    /// Returns a pointer that must not be NULL.
    static func required<T>(
        _ pointer: UnsafeMutablePointer<T>?, _ name: String
    ) throws(CheckpointError) -> UnsafeMutablePointer<T> {
        guard let pointer = unsafe pointer else { throw .argument("the argument \(name) is NULL") }
        return unsafe pointer
    }

    /// Returns a number of entries, which must be possible and have memory.
    static func count(
        _ count: Int, at pointer: UnsafeRawPointer?, max: Int, _ name: String
    ) throws(CheckpointError) -> Int {
        guard (0...max).contains(count) else {
            throw .argument("too many \(name): \(UInt(bitPattern: count)), at most \(max)")
        }
        guard unsafe count == 0 || pointer != nil else { throw .argument("\(name) is NULL") }
        return count
    }

    /// Returns a time of waiting.
    static func duration(_ seconds: Double) throws(CheckpointError) -> Duration {
        guard !seconds.isNaN else { throw .argument("the timeout is not a number") }
        return .seconds(min(max(seconds, 0), 3_155_760_000))
    }
}
