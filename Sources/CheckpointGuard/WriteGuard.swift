internal import CGuard
internal import CheckpointIO
internal import Glibc

/// Page protection that holds writes until they are released, by synchronous userfaultfd write
/// protection. A thread that writes to a protected page, or makes the kernel write to it, stops in
/// that instruction until the page is released. Reads are never held.
///
/// Costs: a held write takes 25 to 45 us plus its waiting time. Protecting 1 GiB takes 13 ms in 4K
/// pages and 0.1 ms in transparent huge pages; during this time no mapping of the process can
/// change. Releasing 4 MiB takes 60 us in 4K pages and 10 us in huge pages. A huge page that is
/// completely inside a protected range stays a huge page; the mapping of one that is released in
/// part is split. Memory that was never touched gets page tables of 4K pages when it is protected,
/// and therefore no huge pages later: populate it first.
///
/// A page can have only one userfaultfd: a `WriteGuard` and a `WriteTracker` cannot share it. The
/// pages of a forked child are not guarded.
package final class WriteGuard: Sendable {
    private let memory: Userfault
    private let stop: Int32
    private let thread: WorkerThread
    private let isClosing = Monitor(false)

    /// Opens a guard and starts its thread.
    ///
    /// - Parameter onWrite: as below.
    /// - Throws: `GuardError` with the remedy if the kernel or the process's privileges do not
    ///   allow it.
    package convenience init(onWrite: @escaping @Sendable (UInt) -> Void) throws(GuardError) {
        try self.init(Userfault.holdingWrites(), onWrite: onWrite)
    }

    /// Starts the thread of a guard.
    ///
    /// - Parameters:
    ///   - memory: holds the writes; is closed with the guard, or if it throws.
    ///   - onWrite: called on the guard's thread with the address of the page of a held
    ///     write. It must return, and ensure that the page is released sooner or later, by `release`
    ///     from any thread. It may be called several times for one page, and also for a page whose
    ///     writes are let through already; `release` is harmless then too. It must not wait for
    ///     anything that a held thread may own (a lock, or the allocator's lock if state is freed
    ///     while it is protected), must not write to protected pages, and must not close the guard.
    /// - Throws: `GuardError` if the process can have no further file or thread.
    package init(
        _ memory: Userfault, onWrite: @escaping @Sendable (UInt) -> Void
    ) throws(GuardError) {
        let stop = cg_open_event()
        guard stop >= 0 else {
            memory.close()
            throw GuardError.failed("eventfd(2)", nil, errno: -stop)
        }
        let loop = HeldWriteLoop(descriptor: memory.descriptor, stop: stop, onWrite: onWrite)
        do throws(ThreadError) {
            thread = try WorkerThread(name: "ckpt-guard") { loop.run() }
        } catch {
            memory.close()
            Glibc.close(stop)
            throw GuardError.failed("pthread_create(3)", nil, errno: error.errno)
        }
        self.memory = memory
        self.stop = stop
    }

    deinit { close() }

    /// Registers pages, so that they can be protected; all of them, or none if it throws. Pages
    /// that are registered already stay as they are. Register pages again after they have been
    /// remapped.
    ///
    /// - Parameter ranges: pages of anonymous or shared memory.
    /// - Throws: `GuardError` if the kernel refuses a range.
    package func register(_ ranges: [PageRange]) throws(GuardError) { try memory.register(ranges) }

    /// Lets writes to the pages through and stops guarding them. Call it before the memory is
    /// unmapped, which is faster.
    ///
    /// - Parameter ranges: pages, registered or not.
    package func unregister(_ ranges: [PageRange]) { memory.unregister(ranges) }

    /// Holds writes to the pages from now on; to all of them, or to none if it throws. Writes by
    /// other threads during this call may or may not be held.
    ///
    /// - Parameter ranges: registered pages.
    /// - Throws: `GuardError` if the kernel refuses a range, or the guard is closed.
    package func protect(_ ranges: [PageRange]) throws(GuardError) { try memory.protect(ranges) }

    /// Lets writes through and wakes held threads. Harmless for pages that are not protected, not
    /// registered or unmapped.
    ///
    /// - Parameter range: the pages to release.
    package func release(_ range: PageRange) { memory.release(range) }

    /// Lets all writes through permanently, and waits until the guard's thread has ended. `onWrite`
    /// must not call it.
    package func close() {
        let isFirst = isClosing.withLock { isClosing in
            defer { isClosing = true }
            return !isClosing
        }
        guard isFirst else { return }
        memory.shut()
        let status = cg_signal_event(stop)
        precondition(status == 0, "an eventfd did not take a one: errno \(-status)")
        thread.join()
        memory.close()
        Glibc.close(stop)
    }
}

/// The loop of the guard's thread: it reports held writes until it is stopped.
private struct HeldWriteLoop: Sendable {
    let descriptor: Int32
    let stop: Int32
    let onWrite: @Sendable (UInt) -> Void

    func run() {
        while waitForWrites() {
            reportWrites()
        }
    }

    /// Waits for held writes.
    ///
    /// - Returns: false if the loop has to stop.
    private func waitForWrites() -> Bool {
        let events = Int16(POLLIN)
        var polled = [pollfd(fd: descriptor, events: events, revents: 0), pollfd(fd: stop, events: events, revents: 0)]
        while unsafe poll(&polled, 2, -1) == -1 {
            precondition(errno == EINTR || errno == EAGAIN || errno == ENOMEM, "poll(2) of a userfaultfd failed: errno \(errno)")
        }
        precondition(polled[0].revents & ~events == 0, "poll(2) of a userfaultfd says \(polled[0].revents)")
        return polled[1].revents == 0
    }

    private func reportWrites() {
        var addresses = [UInt64](repeating: 0, count: 16)
        while true {
            let count = unsafe cg_read_held_writes(descriptor, &addresses, addresses.count)
            if count == -Int(EINTR) { continue }
            if count == -Int(EAGAIN) { return }
            precondition(count >= 0, "read(2) of a userfaultfd failed: errno \(-count)")
            addresses[..<count].forEach { onWrite(UInt($0)) }
        }
    }
}
