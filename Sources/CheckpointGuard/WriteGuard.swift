internal import CGuard
internal import CheckpointIO
internal import Glibc

/// Holds writes to protected pages until they are let through, by synchronous userfaultfd write protection: whoever writes to a
/// protected page, the process or the kernel on its behalf, stands still in that instruction until the page is released. Reads
/// are never held.
///
/// Costs: a held write 25 to 45 us and whatever it has to wait. Protecting 1 GiB 13 ms in 4K pages and 0.1 ms in transparent huge
/// pages, during which no mapping of the process can change; releasing 4 MiB 60 us and 10 us. A huge page that lies in a protected
/// range as a whole stays one; the mapping of one that is released in part is split. Memory never touched gets page tables of 4K
/// pages when it is protected, and so no huge pages later: populate it first.
///
/// A page can have one userfaultfd: a `WriteGuard` and a `WriteTracker` cannot share it. A forked child's pages are not guarded.
package final class WriteGuard: Sendable {
    private static let features: [GuardFeature] = [.writeProtection, .sharedMemory, .unpopulatedPages]

    private let memory: Userfault
    private let stop: Int32
    private let thread: WorkerThread
    private let isClosing = Monitor(false)

    /// - Parameter onWrite: called on the guard's own thread with the address of the page of a held write. It must return, and see to
    ///   it that the page is released sooner or later, by `release` from any thread. It may be called several times for a page, also
    ///   for one whose writes are already let through, and then too `release` is harmless. It must not wait for what a held thread
    ///   may own (a lock, the allocator's if state is freed while it is protected), nor write to protected pages, nor close the guard.
    /// - Throws: if the kernel or the process's privileges do not allow it, with what to do.
    package init(onWrite: @escaping @Sendable (UInt) -> Void) throws(GuardError) {
        let memory = try Userfault(Self.features, holdsKernelWrites: true)
        let stop = cg_open_event()
        guard stop >= 0 else { throw GuardError.failed("eventfd(2)", nil, errno: -stop) }
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

    /// Makes pages ones that can be protected; all of them, or none if it throws. Those that already are stay as they are. Register
    /// again what was mapped anew. Only anonymous and shared memory will do.
    package func register(_ ranges: [PageRange]) throws(GuardError) { try memory.register(ranges) }

    /// Lets writes to the pages through and guards them no more. Call it before the memory is unmapped, which is quicker.
    package func unregister(_ ranges: [PageRange]) { memory.unregister(ranges) }

    /// From here on writes to the pages are held; to all of them, or to none if it throws. A write that other threads make
    /// meanwhile is held or not.
    package func protect(_ ranges: [PageRange]) throws(GuardError) { try memory.protect(ranges) }

    /// Lets writes through and wakes those that are held. Harmless on pages that are not protected, not registered or unmapped.
    package func release(_ range: PageRange) { memory.release(range) }

    /// Lets all writes through for good, and waits for the guard's thread to end: not to be called by `onWrite`.
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

/// What the guard's thread does: report held writes until it is told to stop.
private struct HeldWriteLoop: Sendable {
    let descriptor: Int32
    let stop: Int32
    let onWrite: @Sendable (UInt) -> Void

    func run() {
        while waitForWrites() {
            reportWrites()
        }
    }

    /// Returns false when it is time to stop.
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
