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
    /// `ProtectedPages.state`.
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
    /// A lock of a test, a tool or the C interface, which may be taken under any other. It is not
    /// checked.
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
