internal import CheckpointIO
internal import Foundation

/// Resident memory of this process in bytes (proc(5), /proc/PID/status).
enum ProcessMemory {
    static var resident: Int { figure("VmRSS") }

    private static func figure(_ name: String) -> Int {
        // A missing figure is reported as 0, which is better than no benchmark.
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
        return ProcessStatus.bytes(of: name, in: status) ?? 0
    }

    /// Resets the high-water mark to the memory that is resident now.
    ///
    /// - Returns: false if the kernel refuses.
    fileprivate static func resetPeak() -> Bool {
        guard let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return false }
        // The result reports the failure.
        return (try? file.write(contentsOf: Data("5".utf8))) != nil
    }

    fileprivate static var peak: Int { figure("VmHWM") }
}

/// Peak of the resident memory between `init` and `stop`.
final class PeakMemory: Sendable {
    private let sampled = Monitor((peak: 0, isOver: false))
    private let sampler: WorkerThread?

    /// Starts measuring.
    ///
    /// - Parameter usesMark: whether to use the kernel's high-water mark, if the kernel allows
    ///   resetting it; otherwise a thread samples the memory every 5 ms.
    /// - Throws: `ThreadError` if the sampling thread cannot be created.
    init(usesMark: Bool = true) throws {
        let isReset = usesMark && ProcessMemory.resetPeak()
        let sampled = sampled
        sampler = isReset ? nil : try WorkerThread(name: "rss") { Self.sample(sampled) }
    }

    private static func sample(_ sampled: Monitor<(peak: Int, isOver: Bool)>) {
        while sampled.waitFor(timeout: .milliseconds(5), { $0.isOver ? () : nil }) == nil {
            let resident = ProcessMemory.resident
            sampled.withLock { $0.peak = max($0.peak, resident) }
        }
    }

    /// Stops measuring. Call it once.
    ///
    /// - Returns: the peak in bytes.
    func stop() -> Int {
        guard let sampler else { return ProcessMemory.peak }
        sampled.withLock { $0.isOver = true }
        sampler.join()
        return max(sampled.withLock { $0.peak }, ProcessMemory.resident)
    }
}

/// Parser of lines such as `VmRSS:     1204 kB`.
package enum ProcessStatus {
    /// Finds a figure in the text of /proc/PID/status.
    ///
    /// - Parameters:
    ///   - name: name of the line, such as "VmRSS".
    ///   - status: the text.
    /// - Returns: the figure in bytes; nil if the line is missing or is not a number of kB.
    package static func bytes(of name: String, in status: String) -> Int? {
        for line in status.split(separator: "\n") where line.hasPrefix(name + ":") {
            let words = line.dropFirst(name.count + 1).split(whereSeparator: \.isWhitespace)
            return words.first.flatMap { Int($0) }.map { $0 << 10 }
        }
        return nil
    }
}
