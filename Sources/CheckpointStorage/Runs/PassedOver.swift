public import Foundation

/// A checkpoint that is newer than the one resumed from, and was not considered.
public struct PassedOver: Sendable, Equatable, CustomStringConvertible {
    /// The reason why `resume` does not consider a checkpoint.
    public enum Reason: Sendable, Equatable {
        /// It was made from files of another program.
        case imported
        /// It was copied from another store.
        case copied
        /// Repair made it from a damaged checkpoint.
        case salvaged
        /// Another run saved it.
        case otherRun
        /// The run continued from another checkpoint.
        case otherBranch
    }

    /// Name of the checkpoint's run.
    public var run: String
    /// The checkpoint's step.
    public var step: Int
    /// Time at which the save was requested.
    public var created: Date
    /// The reason why it was not considered.
    public var reason: Reason

    package init(run: String, step: Int, created: Int, reason: Reason) {
        (self.run, self.step, self.reason) = (run, step, reason)
        self.created = Date(timeIntervalSince1970: Double(created) / 1000)
    }

    public var description: String {
        let what =
            switch reason {
            case .imported: "imported"
            case .copied: "copied from another store"
            case .salvaged: "salvaged by repair"
            case .otherRun: "of another run"
            case .otherBranch: "on another branch of the run"
            }
        return "step \(step) of \(run) (\(what))"
    }
}
