internal import CheckpointIO
internal import CheckpointStorage

extension Checkpointer {
    /// Waits until the state, or one group of it, may change, and returns the permit for it.
    ///
    /// Blocks that have not been captured yet are copied now, by this thread and the workers
    /// together. Never fails: if the save in flight does, the permit is granted all the same.
    ///
    /// - Parameter group: the group that will change; nil, or a name that no tensor is in, means
    ///   all of them.
    /// - Returns: the permit; it ends when it is dropped.
    public func permit(for group: String? = nil) -> MutationPermit {
        adviseOnGroup(group)
        let began = ContinuousClock.now
        let backpressure = pipeline.passFence(group, options.backpressure) { crew.setUrgent($0) }
        stalls.withLock { $0.add(wait: .now - began, backpressure: backpressure) }
        state.withLock { $0.epochs.granted(group) }
        check("a permit was requested") { try protection?.permit(group) ?? [] }
        return MutationPermit { [self] in
            check("a permit ended") {
                try protection?.permitEnded(group)
                return []
            }
            state.withLock { $0.epochs.ended() }
        }
    }

    /// As `permit(for:)`, if that needs no wait.
    ///
    /// - Parameter group: the group that will change; nil, or a name that no tensor is in, means
    ///   all of them.
    /// - Returns: the permit; nil if something of the group is still to be captured.
    package func permitIfFree(for group: String? = nil) -> MutationPermit? {
        guard pipeline.isReleased(group) else { return nil }
        return permit(for: group)
    }

    private func check(_ occasion: String, _ body: () throws -> [String]) {
        do { report(try body(), occasion) } catch {
            observers.warn("checked capture is off: \(error)")
        }
    }

    /// Changes the state, or one group of it, inside `body`, while a permit is held.
    ///
    /// - Parameters:
    ///   - group: the group that `body` changes; nil means everything.
    ///   - body: the update.
    /// - Returns: the result of `body`.
    /// - Throws: what `body` throws; the permit has ended then.
    public func mutate<R, E: Error>(
        _ group: String? = nil, _ body: () throws(E) -> R
    ) throws(E) -> R {
        let permit = permit(for: group)
        let result = Result { () throws(E) -> R in try body() }
        permit.end()
        return try result.get()
    }
}
