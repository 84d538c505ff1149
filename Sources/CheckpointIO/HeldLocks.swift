internal import CPlatform

/// The locks that the calling thread holds. Used by debug builds alone.
package enum HeldLocks {
    /// Ranks of the locks that the calling thread holds.
    package static var ranks: [LockRank] {
        let bits = cp_locks_held()
        return LockRank.allCases.filter { bits & (1 << UInt32($0.rawValue)) != 0 }
    }

    /// Number of times that any thread of the process has taken a lock of a rank.
    package static func takenCount(_ rank: LockRank) -> Int { Int(cp_locks_taken(rank.rawValue)) }

    /// Runs `body` as if the calling thread held no lock. For hooks of tests that represent another
    /// process, which runs at a moment when this one holds locks.
    package static func settingAside<R, E: Error>(
        _ body: () throws(E) -> R
    ) throws(E) -> R {
        var locks = cp_locks()
        unsafe cp_locks_exchange(&locks)
        defer { unsafe cp_locks_exchange(&locks) }
        return try body()
    }

    /// Records that the calling thread takes a lock; ends the process if it may not.
    static func take(_ rank: LockRank) {
        guard rank != .unchecked else { return }
        if cp_locks_held() != 0, let held = LockRank.obstacle(holding: ranks, taking: rank) {
            preconditionFailure(
                "a thread with a lock of rank \(held) takes a lock of rank \(rank): "
                    + "see ARCHITECTURE.md, Locks")
        }
        cp_lock_take(rank.rawValue)
    }

    static func release(_ rank: LockRank) {
        if rank != .unchecked { cp_lock_release(rank.rawValue) }
    }
}
