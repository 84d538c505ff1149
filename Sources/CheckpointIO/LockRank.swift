internal import CPlatform

/// Class of a lock, by which debug builds check the order in which a thread takes locks. The table
/// is the one of ARCHITECTURE.md.
package enum LockRank: UInt8, CaseIterable, Sendable {
    /// `RunRetention.removing`.
    case retention
    /// `Checkpointer.state`.
    case trainer
    /// `SaveHistory.state`.
    case history
    /// `SaveTask.chunks` and `SaveTask.timing`.
    case save
    /// `SavePipeline.state`.
    case pipeline
    /// `GuardedCapture.state`.
    case guarded
    /// `Userfault.state`.
    case pages
    /// `MutationChecker.state`.
    case checker
    /// `Expiry.uses`.
    case uses
    /// `SegmentWriter.state`.
    case writer
    /// `SegmentPool.spares`.
    case pool
    /// `SaveMetrics.flying`.
    case metrics
    /// A lock under which no other is taken.
    case leaf
    /// A lock of a test or a tool, which may be taken under any other. It is not checked.
    case unchecked

    /// Returns whether a thread that holds a lock of this rank may take one of another.
    package func mayTake(_ next: LockRank) -> Bool {
        if next == .unchecked { return true }
        return switch self {
        case .retention: [.uses, .pool, .leaf].contains(next)
        case .history: next == .save
        case .pipeline: [.guarded, .pages, .leaf].contains(next)
        case .checker: [.pages, .leaf].contains(next)
        case .uses: next == .leaf
        case .writer: [.pool, .leaf].contains(next)
        case .trainer, .save, .guarded, .pages, .pool, .metrics, .leaf: false
        case .unchecked: true
        }
    }

    /// Returns the first lock that keeps a thread from taking another.
    ///
    /// - Parameters:
    ///   - held: ranks of the locks that the thread holds.
    ///   - next: rank of the lock that it is about to take.
    /// - Returns: nil if every lock that is held allows it.
    package static func obstacle(holding held: [LockRank], taking next: LockRank) -> LockRank? {
        held.first { !$0.mayTake(next) }
    }
}

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
