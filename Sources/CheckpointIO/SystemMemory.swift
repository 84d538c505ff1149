internal import Glibc
internal import SystemPackage

/// Memory that the process can still get.
package enum SystemMemory {
    /// Number of bytes that can be allocated without swapping, in the machine (proc_meminfo(5),
    /// MemAvailable) and in the control groups of the process (cgroups(7)); nil if the
    /// system does not report it.
    package static var availableBytes: Int? {
        let machine = text("/proc/meminfo").flatMap(availableBytes(inMeminfo:))
        return [machine, groupAvailableBytes].compactMap { $0 }.min()
    }

    /// Limit of the address space of the process in bytes (getrlimit(2), RLIMIT_AS); nil for none.
    package static var addressSpaceLimit: Int? {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0,
            limit.rlim_cur != rlim_t.max
        else { return nil }
        return Int(clamping: UInt64(limit.rlim_cur))
    }

    /// The least that one of the process's control groups has left.
    private static var groupAvailableBytes: Int? {
        let groups = text("/proc/self/cgroup") ?? []
        return ControlGroupVersion.allCases.compactMap { availableBytes(in: $0, groups) }.min()
    }

    private static func availableBytes(in version: ControlGroupVersion, _ groups: [UInt8]) -> Int? {
        guard let group = version.path(in: groups) else { return nil }
        var path = version.root + (group == "/" ? "" : group)
        var least: Int?
        // Inside of a container, groups above its own may not be there.
        while true {
            let files = version.files.compactMap { text("\(path)/\($0)") }
            if files.count == 3,
                let bytes = version.availableBytes(
                    limit: files[0], used: files[1], statistics: files[2])
            {
                least = min(least ?? .max, bytes)
            }
            guard path != version.root, let slash = path.lastIndex(of: "/") else { return least }
            path = String(path[..<slash])
        }
    }

    /// Parses MemAvailable.
    ///
    /// - Parameter text: Content of /proc/meminfo.
    /// - Returns: Number of bytes; nil if the line is missing or malformed.
    package static func availableBytes(inMeminfo text: [UInt8]) -> Int? {
        let line = text.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: "MemAvailable:".utf8) }
        let kilobytes = line.flatMap { Int(String(decoding: $0.filter(isDigit), as: UTF8.self)) }
        return kilobytes.flatMap { $0 <= Int.max >> 10 ? $0 << 10 : nil }
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func text(_ path: String) -> [UInt8]? {
        // If the file does not exist, the amount is unknown.
        try? POSIXFileSystem().stream(FilePath(path), atMost: 64 << 10)
    }
}
