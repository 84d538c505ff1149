internal import CGuard
internal import Glibc

/// Detection of written pages by asynchronous userfaultfd write protection: the kernel lets the
/// first write to a page through immediately and records it. No privileges are needed.
///
/// Costs: about 0.7 us for the first write to a page after `arm`. Arming 1 GiB takes 10 ms in 4K
/// pages and 0.1 ms in transparent huge pages. Scanning 512 MiB takes 0.14 ms if nothing was
/// written, and 5.6 ms if every page was. The first write to a huge page splits its mapping, and
/// only the 4K page that was written is reported.
///
/// A page counts as written even if the same bytes were written, and if it was discarded by
/// madvise(2), except for whole huge pages. A page can have only one userfaultfd: a `WriteGuard`
/// and a `WriteTracker` cannot share it.
package final class WriteTracker: Sendable {
    private static let features: [GuardFeature] = [.writeProtection, .sharedMemory, .unpopulatedPages, .asynchronousProtection]

    private let memory: Userfault
    private let pageMap: Int32

    /// Opens a tracker.
    ///
    /// - Throws: `GuardError` with the remedy if the kernel or the process's privileges do not
    ///   allow it.
    package init() throws(GuardError) {
        let memory = try Userfault(Self.features, holdsKernelWrites: false)
        let pageMap = unsafe open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
        guard pageMap >= 0 else { throw GuardError.failed("open(2) of /proc/self/pagemap", nil, errno: errno) }
        if let error = Self.probe(pageMap) {
            Glibc.close(pageMap)
            throw error
        }
        self.memory = memory
        self.pageMap = pageMap
    }

    deinit { Glibc.close(pageMap) }

    /// Returns the reason why pages cannot be scanned; nil if they can.
    private static func probe(_ pageMap: Int32) -> GuardError? {
        var run = cg_page_run()
        var walked: UInt64 = 0
        let status = unsafe cg_scan_written(pageMap, 0, 0, &run, 1, &walked)
        switch status {
        case 0...: return nil
        case -Int(ENOTTY), -Int(EINVAL): return .missing([.pageScan])
        default: return .failed("PAGEMAP_SCAN", nil, errno: Int32(-status))
        }
    }

    /// Registers pages, so that they can be tracked; all of them, or none if it throws. Pages that
    /// are registered already stay as they are. Register pages again after they have been remapped.
    ///
    /// - Parameter ranges: pages of anonymous or shared memory.
    /// - Throws: `GuardError` if the kernel refuses a range.
    package func register(_ ranges: [PageRange]) throws(GuardError) { try memory.register(ranges) }

    /// Stops tracking the pages. Call it before the memory is unmapped, which is faster.
    ///
    /// - Parameter ranges: pages, registered or not.
    package func unregister(_ ranges: [PageRange]) { memory.unregister(ranges) }

    /// Discards the record of writes so far.
    ///
    /// - Parameter ranges: registered pages.
    /// - Throws: `GuardError` if the kernel refuses a range. All of the pages then count as
    ///   written.
    package func arm(_ ranges: [PageRange]) throws(GuardError) { try memory.protect(ranges) }

    /// Returns the pages that were written since they were armed. Pages that were never armed, or
    /// were remapped since, count as written once they hold anything. Unmapped pages do not count.
    ///
    /// - Parameter ranges: pages to scan.
    /// - Returns: the written pages; ranges ascend and are not adjacent.
    /// - Throws: `GuardError` if the scan fails.
    package func written(in ranges: [PageRange]) throws(GuardError) -> [PageRange] {
        var found: [PageRange] = []
        var runs = [cg_page_run](repeating: cg_page_run(), count: 512)
        for range in PageSet(ranges).ranges {
            var start = UInt64(range.start)
            while start < UInt64(range.end) {
                start = try scan(range, from: start, &runs, &found)
            }
        }
        return PageSet(found).ranges
    }

    /// Scans until the buffer of runs is full or the range ends.
    ///
    /// - Returns: the address where the scan stopped.
    private func scan(
        _ range: PageRange, from start: UInt64, _ runs: inout [cg_page_run], _ found: inout [PageRange]
    ) throws(GuardError) -> UInt64 {
        var walked: UInt64 = 0
        let count = unsafe cg_scan_written(pageMap, start, UInt64(range.end), &runs, runs.count, &walked)
        if count == -Int(EINTR) || count == -Int(EAGAIN) { return start }
        guard count >= 0 else { throw GuardError.failed("PAGEMAP_SCAN", range, errno: Int32(-count)) }
        precondition(walked > start, "PAGEMAP_SCAN stands still at \(start)")
        found += runs[..<count].map { PageRange(start: UInt($0.start), end: UInt($0.end)) }
        return walked
    }
}
