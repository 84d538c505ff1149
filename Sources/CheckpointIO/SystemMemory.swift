internal import SystemPackage

/// What the machine says of its memory.
package enum SystemMemory {
    /// Bytes that new allocations can have without swapping (proc_meminfo(5), MemAvailable); nil where the system does not say.
    package static var availableBytes: Int? {
        // No such file is no information.
        guard let text = try? POSIXFileSystem().stream("/proc/meminfo", atMost: 64 << 10) else { return nil }
        return availableBytes(inMeminfo: text)
    }

    /// - Parameter text: what /proc/meminfo holds.
    package static func availableBytes(inMeminfo text: [UInt8]) -> Int? {
        let line = text.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: "MemAvailable:".utf8) }
        guard let digits = line?.filter({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        let kilobytes = Int(String(decoding: digits, as: UTF8.self))
        return kilobytes.flatMap { $0 <= Int.max >> 10 ? $0 << 10 : nil }
    }
}
