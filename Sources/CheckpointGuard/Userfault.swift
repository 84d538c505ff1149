internal import CGuard
internal import CheckpointIO
internal import Glibc

/// A userfaultfd and the pages registered with it. All methods may be called from any thread. Calls
/// to the kernel run concurrently. Closing waits for them, so that none uses a descriptor number
/// that the process has reused for another file.
package final class Userfault: Sendable {
    private struct State {
        var registered = PageSet()
        var users = 0
        var isShut = false
        var isClosed = false
    }

    let descriptor: Int32
    private let state = Monitor(State(), rank: .pages)

    /// Opens a userfaultfd and enables features.
    ///
    /// - Parameters:
    ///   - features: the features that the kernel must have.
    ///   - holdsKernelWrites: whether system calls that write to protected memory must be held in
    ///     synchronous mode, which needs privileges. Without it, such a call fails with EFAULT
    ///     (userfaultfd(2), UFFD_USER_MODE_ONLY).
    /// - Throws: `GuardError` if the kernel lacks a feature or the process lacks privileges.
    init(_ features: [GuardFeature], holdsKernelWrites: Bool) throws(GuardError) {
        let userOnly: Int32 = holdsKernelWrites ? 0 : 1
        let descriptor = try Self.open(userOnly)
        var mask = features.reduce(0) { $0 | $1.mask }
        let status = unsafe cg_enable(descriptor, &mask)
        if status != 0 {
            Glibc.close(descriptor)
            throw try Self.refusal(of: features, -status, userOnly)
        }
        self.descriptor = descriptor
    }

    /// Opens a userfaultfd that holds writes to protected pages, those of system calls too.
    ///
    /// - Returns: the userfaultfd, to be given to a `WriteGuard`, which closes it.
    /// - Throws: `GuardError` with the remedy if the kernel or the process's privileges do not
    ///   allow it.
    package static func holdingWrites() throws(GuardError) -> Userfault {
        try Userfault(
            [.writeProtection, .sharedMemory, .unpopulatedPages], holdsKernelWrites: true)
    }

    deinit { close() }

    private static func open(_ userOnly: Int32) throws(GuardError) -> Int32 {
        let first = cg_open_system_call(userOnly)
        if first >= 0 { return first }
        let second = cg_open_device(userOnly)
        if second >= 0 { return second }
        throw .opening(systemCall: -first, device: -second)
    }

    /// Finds the reason for refused features. UFFDIO_API can be called only once per descriptor, so
    /// a new descriptor is opened.
    private static func refusal(of features: [GuardFeature], _ code: Int32, _ userOnly: Int32) throws(GuardError) -> GuardError {
        let descriptor = try open(userOnly)
        defer { Glibc.close(descriptor) }
        var offered: UInt64 = 0
        _ = unsafe cg_enable(descriptor, &offered)
        let missing = GuardFeature.missing(features, offered: offered)
        return missing.isEmpty ? .failed("UFFDIO_API", nil, errno: code) : .missing(missing)
    }

    /// Registers pages; all of them, or none if it throws. Pages that are registered already are
    /// registered again, because their memory may have been remapped.
    ///
    /// - Parameter ranges: pages of mapped memory.
    /// - Throws: `GuardError` if the kernel refuses a range.
    package func register(_ ranges: [PageRange]) throws(GuardError) {
        try use { () throws(GuardError) in
            let wanted = PageSet(ranges)
            for (done, range) in wanted.ranges.enumerated() {
                let status = retry { cg_register(descriptor, UInt64(range.start), UInt64(range.byteCount)) }
                if status != 0 {
                    let before = state.withLock { $0.registered }
                    PageSet(Array(wanted.ranges[..<done])).subtracting(before).ranges.forEach(forget)
                    throw GuardError.failed("UFFDIO_REGISTER", range, errno: -status)
                }
            }
            state.withLock { $0.registered = $0.registered.union(wanted) }
        }
    }

    /// Lets writes through, wakes held threads, and unregisters the pages.
    ///
    /// - Parameter ranges: pages, registered or not.
    package func unregister(_ ranges: [PageRange]) {
        useIfOpen {
            let gone = state.withLock { state in
                let before = state.registered
                state.registered = before.subtracting(PageSet(ranges))
                return before.subtracting(state.registered)
            }
            gone.ranges.forEach(forget)
        }
    }

    /// Protects pages; all of them, or none if it throws.
    ///
    /// - Parameter ranges: registered pages.
    /// - Throws: `GuardError` if the kernel refuses a range.
    package func protect(_ ranges: [PageRange]) throws(GuardError) {
        try use { () throws(GuardError) in
            let ranges = PageSet(ranges).ranges
            for range in ranges {
                let status = retry { cg_set_protection(descriptor, UInt64(range.start), UInt64(range.byteCount), 1) }
                if status != 0 {
                    ranges.forEach(unprotect)
                    throw GuardError.failed("UFFDIO_WRITEPROTECT", range, errno: -status)
                }
            }
        }
    }

    /// Lets writes through and wakes held threads. Pages need not be protected.
    ///
    /// - Parameter range: pages, registered or not.
    package func release(_ range: PageRange) {
        useIfOpen { state.withLock { $0.registered.intersection(range) }.forEach(unprotect) }
    }

    /// Lets every write through, and refuses all further calls. The descriptor stays open for
    /// threads that poll it.
    func shut() {
        let registered = state.withLock { state in
            state.isShut = true
            defer { state.registered = PageSet() }
            return state.registered
        }
        for range in registered.ranges {
            _ = cg_unregister(descriptor, UInt64(range.start), UInt64(range.byteCount))
            _ = cg_wake(descriptor, UInt64(range.start), UInt64(range.byteCount))
        }
    }

    /// Shuts the userfaultfd and closes its descriptor, which makes the kernel release all
    /// remaining protected pages.
    func close() {
        shut()
        let isFirst = state.waitFor { state -> Bool? in
            guard state.users == 0 else { return nil }
            defer { state.isClosed = true }
            return !state.isClosed
        }
        if isFirst { Glibc.close(descriptor) }
    }

    // MARK: Calls to the kernel

    private func use(_ body: () throws(GuardError) -> Void) throws(GuardError) {
        let isOpen = state.withLock { state in
            if !state.isShut { state.users += 1 }
            return !state.isShut
        }
        guard isOpen else { throw .closed }
        defer { state.withLock { $0.users -= 1 } }
        try body()
    }

    /// Runs `body` unless the userfaultfd is shut: shutting has already released everything.
    private func useIfOpen(_ body: () -> Void) {
        do { try use(body) } catch {}
    }

    /// Removes protection, which also wakes held threads. If the kernel refuses for a page, the
    /// page is unregistered instead: most likely its memory was remapped, and in any case no thread
    /// may stay held.
    private func unprotect(_ range: PageRange) {
        forEachPart(of: range, { cg_set_protection(descriptor, $0, $1, 0) }) { start, length in
            _ = cg_unregister(descriptor, start, length)
            _ = cg_wake(descriptor, start, length)
        }
    }

    /// Unregisters pages and wakes held threads. Unregistering removes protection, but wakes only
    /// threads that wait for missing pages.
    private func forget(_ range: PageRange) {
        forEachPart(of: range, { cg_unregister(descriptor, $0, $1) }) { _, _ in }
        _ = cg_wake(descriptor, UInt64(range.start), UInt64(range.byteCount))
    }

    /// Makes a call for a range. If it fails, as it does when part of the memory was remapped,
    /// makes the call for each half of the range.
    private func forEachPart(of range: PageRange, _ call: (UInt64, UInt64) -> Int32, orElse fallback: (UInt64, UInt64) -> Void) {
        let (start, length) = (UInt64(range.start), UInt64(range.byteCount))
        guard retry({ call(start, length) }) != 0 else { return }
        guard range.pageCount > 1 else { return fallback(start, length) }
        let middle = range.start + UInt(range.pageCount / 2) * PageRange.pageSize
        forEachPart(of: PageRange(start: range.start, end: middle), call, orElse: fallback)
        forEachPart(of: PageRange(start: middle, end: range.end), call, orElse: fallback)
    }

    /// Repeats a call. The kernel returns EAGAIN while another thread changes the mappings, which
    /// does not take long.
    private func retry(_ call: () -> Int32) -> Int32 {
        var status = call()
        for _ in 0..<1000 where status == -EAGAIN || status == -EINTR {
            sched_yield()
            status = call()
        }
        return status
    }
}
