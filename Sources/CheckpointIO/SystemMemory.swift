internal import SystemPackage

/// Memory of the machine.
package enum SystemMemory {
    /// Number of bytes that can be allocated without swapping (proc_meminfo(5), MemAvailable); nil
    /// if the system does not report it.
    package static var availableBytes: Int? {
        // If the file does not exist, the amount is unknown.
        guard let text = try? POSIXFileSystem().stream("/proc/meminfo", atMost: 64 << 10) else { return nil }
        return availableBytes(inMeminfo: text)
    }

    /// Parses MemAvailable.
    ///
    /// - Parameter text: Content of /proc/meminfo.
    /// - Returns: Number of bytes; nil if the line is missing or malformed.
    package static func availableBytes(inMeminfo text: [UInt8]) -> Int? {
        let line = text.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: "MemAvailable:".utf8) }
        guard let digits = line?.filter({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        let kilobytes = Int(String(decoding: digits, as: UTF8.self))
        return kilobytes.flatMap { $0 <= Int.max >> 10 ? $0 << 10 : nil }
    }
}
