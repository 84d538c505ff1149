package import CheckpointFormat
internal import CheckpointIO

/// Messages between the ranks of a process group, about one save at a time. Any thread.
///
/// Once a call of the group has failed, the ranks may count its calls differently. It is not called
/// again, and they meet in the store.
package final class RankMessages: Sendable {
    private let group: (any ProcessGroup)?
    private let state = Monitor(State.idle)
    /// Maximum length of the text of a failure, in bytes.
    package static let textBytesMax = 4096

    private enum State { case idle, calling, broken }

    /// - Parameter group: the trainer's process group, if there is one.
    package init(_ group: (any ProcessGroup)?) { self.group = group }

    /// The answers of all ranks.
    package struct Answers: Sendable {
        /// The failure of the lowest rank that has failed; nil if all have succeeded.
        package var failure: CheckpointError?
    }

    /// Tells all ranks whether this one has succeeded, and hears the same from them.
    ///
    /// - Parameters:
    ///   - attempt: the save that the message is about.
    ///   - failure: the failure of this rank; nil if it has succeeded.
    ///   - deadline: when to give up.
    /// - Returns: nil if there is no group, or it has failed.
    package func exchange(
        _ attempt: CheckpointID, _ failure: CheckpointError?,
        _ deadline: ContinuousClock.Instant
    ) -> Answers? {
        var writer = ByteWriter()
        writer.identifier(attempt)
        let subject = writer.bytes
        let text = failure.map { [1] + "\($0)".utf8.prefix(Self.textBytesMax) } ?? [0]
        guard let answers = allGather(subject + text, deadline) else { return nil }
        // A rank that failed before it could begin reports this with its next save.
        guard answers.allSatisfy({ $0.starts(with: subject) && $0.count > subject.count }) else {
            state.withLock { $0 = .broken }
            return nil
        }
        let failed = answers.firstIndex { $0[subject.count] != 0 }
        return Answers(
            failure: failed.map {
                Self.failure(of: $0, Array(answers[$0].dropFirst(subject.count + 1)))
            })
    }

    /// Sends this rank's bytes to all ranks, and waits for those of all.
    ///
    /// - Parameters:
    ///   - bytes: the bytes of this rank.
    ///   - deadline: when to give up.
    /// - Returns: the bytes of all ranks, by rank; nil if there is no group, or it has failed.
    package func allGather(
        _ bytes: [UInt8], _ deadline: ContinuousClock.Instant
    ) -> [[UInt8]]? {
        guard let group, begin(deadline) else { return nil }
        // The store shows which ranks are missing.
        let answers = try? group.allGather(bytes, deadline: deadline)
        let isComplete = answers?.count == group.worldSize
        state.withLock { $0 = isComplete ? .idle : .broken }
        return isComplete ? answers : nil
    }

    /// Agrees on a name that no other group has.
    ///
    /// - Parameter deadline: when to give up.
    /// - Returns: the name that rank 0 proposes; nil if there is no group, or it has failed: also
    ///   if an earlier store has left it with ranks that count its calls differently.
    package func agreeOnName(_ deadline: ContinuousClock.Instant) -> String? {
        let subject = Array("launch ".utf8)
        let proposed = subject + Array(CheckpointID.random().description.utf8)
        guard let answers = allGather(proposed, deadline) else { return nil }
        guard answers.allSatisfy({ $0.starts(with: subject) && $0.count == proposed.count }) else {
            state.withLock { $0 = .broken }
            return nil
        }
        return String(decoding: answers[0], as: UTF8.self)
    }

    /// Waits until no other thread calls the group.
    ///
    /// - Returns: false if the group has failed, or the time is over.
    private func begin(_ deadline: ContinuousClock.Instant) -> Bool {
        state.waitFor(timeout: deadline - .now) { state in
            switch state {
            case .idle:
                state = .calling
                return true
            case .calling: return nil
            case .broken: return false
            }
        } ?? false
    }

    /// Returns the error of a rank whose save cannot be completed because another one has failed.
    ///
    /// - Parameters:
    ///   - rank: the rank that has failed.
    ///   - text: its error.
    package static func failure(of rank: Int, _ text: [UInt8]) -> CheckpointError {
        CheckpointError(
            .cancelled, "rank \(rank) could not save: \(String(decoding: text, as: UTF8.self))")
    }
}
