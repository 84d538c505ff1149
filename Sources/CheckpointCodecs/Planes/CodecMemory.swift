internal import CheckpointFormat

/// Result of a trial for a tensor or block. The caller keeps it and passes it in at the next save.
/// It only affects the time that encoding takes, not the decoded bytes.
package struct CodecMemory: Sendable, Equatable {
    /// Number of blocks encoded before a new trial is made.
    package static let uses = 16

    private var plan: PlanePlan?
    private var type: ElementType?
    private var effort = PlaneEffort.fast
    private var left = 0
    private var isHopeless = false

    package init() {}

    /// Starts a block; call it once for each.
    ///
    /// - Returns: False if the block is not worth encoding.
    mutating func begin(_ effort: PlaneEffort) -> Bool {
        if left == 0 || effort != self.effort { self = CodecMemory() }
        self.effort = effort
        left = left == 0 ? Self.uses : left
        left -= 1
        return !isHopeless
    }

    func plan(for type: ElementType?) -> PlanePlan? { type == self.type ? plan : nil }

    /// Stores a plan. The first plan of a block is kept.
    mutating func keep(_ plan: PlanePlan, for type: ElementType?) {
        guard self.plan == nil else { return }
        (self.plan, self.type) = (plan, type)
    }

    mutating func finish(isWorthwhile: Bool) { isHopeless = !isWorthwhile }
}
