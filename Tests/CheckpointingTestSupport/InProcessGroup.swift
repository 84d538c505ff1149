internal import CheckpointIO
internal import CheckpointStorage

/// A process group whose ranks are threads of this process.
package final class InProcessGroup: Sendable {
    private struct Round {
        var brought: [Int: [UInt8]] = [:]
        var left: Set<Int> = []
    }

    private struct State {
        /// Number of calls that each rank has made.
        var calls: [Int]
        var rounds: [Int: Round] = [:]
    }

    private struct Late: Error {}

    private let worldSize: Int
    private let state: Monitor<State>

    package init(_ worldSize: Int) {
        self.worldSize = worldSize
        state = Monitor(State(calls: Array(repeating: 0, count: worldSize)), rank: .unchecked)
    }

    /// One rank's end of the group.
    package struct Member: ProcessGroup {
        package let rank: Int
        package var worldSize: Int { group.worldSize }
        fileprivate let group: InProcessGroup

        package func allGather(
            _ bytes: [UInt8], deadline: ContinuousClock.Instant
        ) throws -> [[UInt8]] {
            try group.allGather(rank, bytes, deadline)
        }
    }

    package func member(_ rank: Int) -> Member { Member(rank: rank, group: self) }

    private func allGather(
        _ rank: Int, _ bytes: [UInt8], _ deadline: ContinuousClock.Instant
    ) throws -> [[UInt8]] {
        let number = state.withLock { state in
            defer { state.calls[rank] += 1 }
            state.rounds[state.calls[rank], default: Round()].brought[rank] = bytes
            return state.calls[rank]
        }
        let all = state.waitFor(timeout: deadline - .now) { [worldSize] state -> [[UInt8]]? in
            guard let round = state.rounds[number], round.brought.count == worldSize else {
                return nil
            }
            return (0..<worldSize).map { round.brought[$0] ?? [] }
        }
        guard let all else { throw Late() }
        return all
    }
}
