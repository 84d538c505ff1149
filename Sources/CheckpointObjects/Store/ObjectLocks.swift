internal import CheckpointIO
internal import CheckpointStorage
internal import Foundation

/// Locks between machines (Formats/durability.md, section 16). A lock is an object that its holder
/// creates before it looks for others: of two who want the same, at least one sees the other.
///
/// There is no waiting. A holder writes its object again every minute; one that was not written for
/// ten minutes, by the clock of the store, was left behind and does not count.
final class ObjectLocks: Sendable {
    private let objects: any ObjectStore
    private let holder: [UInt8]
    private let times: Times
    private let state = Monitor(State())

    /// Durations of locks.
    struct Times {
        /// Time after which a holder writes its lock again.
        var renewal = Duration.seconds(60)
        /// Time since it was written for which a holder may rely on a lock.
        var trusted = Duration.seconds(5 * 60)
        /// Age at which a lock was left behind. Longer than `trusted`, so that nobody relies on it.
        var lifetime = Duration.seconds(10 * 60)
    }

    private struct State {
        /// When the locks that are held were written last.
        var held: [String: ContinuousClock.Instant] = [:]
        /// The thread that writes them again; nil while there are none.
        var thread: WorkerThread?
    }

    /// The locks that this process holds, in any store.
    private static let own = Monitor<Set<String>>([])

    /// Creates access; takes no lock.
    ///
    /// - Parameters:
    ///   - objects: the store's objects.
    ///   - holder: what a lock says of its holder: a `LockHolder`, encoded.
    ///   - times: durations of locks.
    init(_ objects: any ObjectStore, holder: [UInt8], times: Times = Times()) {
        (self.objects, self.holder, self.times) = (objects, holder, times)
    }

    /// The kind of a lock.
    enum Mode: String {
        /// Excludes exclusive locks.
        case shared
        /// Excludes all others.
        case exclusive
    }

    /// A lock that is held until it is released.
    final class Lock: FileLock {
        private let locks: ObjectLocks
        private let key: String

        fileprivate init(_ locks: ObjectLocks, _ key: String) {
            (self.locks, self.key) = (locks, key)
        }

        deinit { locks.release(key) }

        /// Does nothing: the holder is in the lock from the beginning.
        func record(_ bytes: [UInt8]) {}
    }

    // MARK: Taking

    /// Takes a lock without waiting.
    ///
    /// - Parameters:
    ///   - name: what is locked: a part of a key.
    ///   - mode: what the lock excludes.
    /// - Returns: the lock; nil if another one excludes it, also of this process.
    /// - Throws: `.unsupported` if the store does not list what was created; else as its calls.
    func take(_ name: String, _ mode: Mode) throws(ObjectStoreError) -> Lock? {
        let prefix = Self.prefix(name)
        let own = "\(UUID().uuidString.lowercased()).\(mode.rawValue)"
        let key = prefix + own
        let written = ContinuousClock.now
        _ = Self.own.withLock { $0.insert(key) }
        do throws(ObjectStoreError) {
            try objects.create(key, holder)
            let listing = try objects.list(prefix, limit: nil)
            guard listing.objects.contains(own) else {
                throw ObjectStoreError(
                    .unsupported, "LIST", prefix, "the store does not list an object that exists")
            }
            let others = listing.objects.filter { other in
                other != own && (mode == .exclusive || other.hasSuffix(Mode.exclusive.rawValue))
            }
            for other in others {
                guard try isLeft(prefix + other, age: listing.ages[other]) else {
                    release(key)
                    return nil
                }
                try objects.remove(prefix + other)
            }
        } catch {
            // The answer to the first request may be lost, too.
            release(key)
            throw error
        }
        hold(key, since: written)
        return Lock(self, key)
    }

    /// Returns true if nobody holds a lock any more: it is too old, or its process has ended, or
    /// this process has tried to remove it.
    private func isLeft(_ key: String, age: Duration?) throws(ObjectStoreError) -> Bool {
        if let age, age > times.lifetime { return true }
        guard let size = try objects.size(of: key) else { return true }
        let bytes: [UInt8]
        do throws(ObjectStoreError) {
            bytes = try objects.bytes(of: key, count: min(size, 4096))
        } catch {
            guard error.kind == .notFound else { throw error }
            return true
        }
        guard let holder = LockHolder(decoding: bytes) else { return false }
        if holder.hasEnded { return true }
        return holder.isThisProcess && !Self.own.withLock { $0.contains(key) }
    }

    /// Returns what one of the holders of a lock says of itself; nil if there is none.
    func holder(of name: String) throws(ObjectStoreError) -> [UInt8]? {
        let prefix = Self.prefix(name)
        guard let first = try objects.list(prefix, limit: nil).objects.first,
            let size = try objects.size(of: prefix + first)
        else { return nil }
        return try objects.bytes(of: prefix + first, count: min(size, 4096))
    }

    private func release(_ key: String) {
        state.withLock { state in _ = state.held.removeValue(forKey: key) }
        // What cannot be removed does not count for long.
        try? objects.remove(key)
        _ = Self.own.withLock { $0.remove(key) }
    }

    private static func prefix(_ name: String) -> String { "locks/\(name)/" }

    // MARK: Holding

    /// False if a lock that is held was not written for so long that others may take it for one
    /// that was left behind: the holder was stopped, or the store does not answer.
    var areTrusted: Bool {
        let oldest = state.withLock { $0.held.values.min() }
        return oldest.map { ContinuousClock.now - $0 <= times.trusted } ?? true
    }

    private func hold(_ key: String, since written: ContinuousClock.Instant) {
        state.withLock { state in
            state.held[key] = written
            guard state.thread == nil else { return }
            // Without the thread, the lock counts for some minutes.
            state.thread = try? WorkerThread(name: "ckpt-locks") { [self] in
                while !waitForEnd() { renew() }
            }
        }
    }

    /// Waits until it is time to write the locks again.
    ///
    /// - Returns: true if none is held any more: the thread ends, and a later lock starts another.
    private func waitForEnd() -> Bool {
        let end = state.waitFor(timeout: times.renewal) { state -> Bool? in
            guard state.held.isEmpty else { return nil }
            state.thread = nil
            return true
        }
        return end ?? false
    }

    /// Writes the locks again that may still be relied on.
    private func renew() {
        let (now, held) = (ContinuousClock.now, state.withLock { $0.held })
        for (key, written) in held where now - written <= times.trusted {
            let started = ContinuousClock.now
            // The next time, or it is not trusted any more.
            guard (try? objects.upload(key, from: MemoryFile(holder))) != nil else { continue }
            let isHeld = state.withLock { state in
                guard state.held[key] != nil else { return false }
                state.held[key] = started
                return true
            }
            // Released meanwhile, and perhaps created again by this request. As in `release`.
            if !isHeld { try? objects.remove(key) }
        }
    }
}
