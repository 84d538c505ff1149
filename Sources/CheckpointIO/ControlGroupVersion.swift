/// The two ways in which Linux limits the memory of a group of processes (cgroups(7)).
package enum ControlGroupVersion: CaseIterable {
    case one, two

    /// Directory of the group of all processes.
    var root: String {
        switch self {
        case .one: "/sys/fs/cgroup/memory"
        case .two: "/sys/fs/cgroup"
        }
    }

    /// Names of the files with the limit, the bytes in use, and statistics of them.
    var files: [String] {
        switch self {
        case .one: ["memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"]
        case .two: ["memory.max", "memory.current", "memory.stat"]
        }
    }

    /// Statistic of the bytes of files that were not used lately.
    private var reclaimable: String {
        switch self {
        case .one: "total_inactive_file "
        case .two: "inactive_file "
        }
    }

    /// Returns the group of a process, relative to `root`.
    ///
    /// - Parameter groups: Content of /proc/PID/cgroup.
    /// - Returns: The path, which begins with a slash; nil if the process is in no group of this
    ///   version.
    package func path(in groups: [UInt8]) -> String? {
        for line in groups.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(
                separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[2].first == UInt8(ascii: "/") else { continue }
            let controllers = fields[1].split(separator: UInt8(ascii: ","))
            let isThis =
                switch self {
                case .one: controllers.contains { $0.elementsEqual("memory".utf8) }
                case .two: controllers.isEmpty
                }
            if isThis { return String(decoding: fields[2], as: UTF8.self) }
        }
        return nil
    }

    /// Computes what a group has left. File pages that were not used lately are given back when
    /// memory is needed, and count as free.
    ///
    /// - Parameters:
    ///   - limit: Content of the first of `files`.
    ///   - used: Content of the second.
    ///   - statistics: Content of the third.
    /// - Returns: Number of bytes; nil if the group has no limit, or a file is malformed.
    package func availableBytes(limit: [UInt8], used: [UInt8], statistics: [UInt8]) -> Int? {
        guard let limit = Self.number(limit), let used = Self.number(used) else { return nil }
        let lines = statistics.split(separator: UInt8(ascii: "\n"))
        let line = lines.first { $0.starts(with: reclaimable.utf8) }
        let unused = line.flatMap { Self.number($0.dropFirst(reclaimable.utf8.count)) } ?? 0
        return max(limit - max(used - unused, 0), 0)
    }

    private static func number(_ text: some Sequence<UInt8>) -> Int? {
        let digits = text.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return Int(String(decoding: Array(digits), as: UTF8.self))
    }
}
