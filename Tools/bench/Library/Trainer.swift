internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO

/// The simulated training loop: arithmetic that keeps the core of every thread busy, then an update
/// of every element.
final class Trainer: Sendable {
    /// A part of a tensor that one thread updates at a time.
    private struct Piece {
        let region: MemoryRegion
        let width: Int
    }

    let state: TrainingState
    private let team: Team
    private let scratch: [MemoryRegion]
    /// Number of multiply-add rounds per step, on each thread.
    private let rounds: Int
    private let pieces: [[Piece]]

    /// Half the size of a typical first-level data cache.
    private static let scratchBytes = 16 << 10
    private static let pieceBytes = 1 << 20

    /// Starts the threads, and calibrates the amount of arithmetic.
    ///
    /// - Parameters:
    ///   - state: the state to update.
    ///   - threads: number of threads, including the calling one.
    ///   - computeSeconds: duration of the forward and backward pass in seconds, if nothing
    ///     disturbs it.
    /// - Throws: `OutOfMemory` or `ThreadError` if the system refuses memory or a thread.
    init(_ state: TrainingState, threads: Int, computeSeconds: Double) throws {
        let buffer = try AlignedBuffer(count: threads * Self.scratchBytes, hugePages: false)
        let scratch = (0..<threads).map { buffer.region[$0 * Self.scratchBytes..<($0 + 1) * Self.scratchBytes] }
        let team = try Team(count: threads)
        (self.state, self.team, self.scratch) = (state, team, scratch)
        pieces = state.groups.map(Self.cut)
        rounds = computeSeconds > 0 ? Int(computeSeconds / Self.secondsPerRound(team, scratch)) : 0
    }

    /// Groups in update order.
    var groups: [TrainingState.Group] { state.groups }

    // MARK: Computing

    /// Runs the arithmetic of the forward and backward pass.
    func compute() { Self.compute(team, scratch, rounds: rounds) }

    private static func compute(_ team: Team, _ scratch: [MemoryRegion], rounds: Int) {
        team.run { thread in scratch[thread].multiplyAdd(rounds: rounds) }
    }

    /// Returns the median of five measurements, each long enough for the resolution of the clock
    /// and the scheduler.
    private static func secondsPerRound(_ team: Team, _ scratch: [MemoryRegion]) -> Double {
        func measured(_ rounds: Int) -> Double {
            let began = ContinuousClock.now
            compute(team, scratch, rounds: rounds)
            return (ContinuousClock.now - began).seconds
        }
        var rounds = 1
        while measured(rounds) < 0.02 { rounds *= 2 }
        return Spread((0..<5).map { _ in measured(rounds) }).median / Double(rounds)
    }

    // MARK: Updating

    private static func cut(_ group: TrainingState.Group) -> [Piece] {
        group.tensors.flatMap { tensor in
            stride(from: 0, to: tensor.region.count, by: pieceBytes).map { start in
                Piece(
                    region: tensor.region[start..<min(start + pieceBytes, tensor.region.count)],
                    width: tensor.specification.type.width)
            }
        }
    }

    /// Changes every element of one group.
    func update(group number: Int) { add(1, to: pieces[number]) }

    /// Marks all groups as updated: the state's objects move to the next step.
    func finishUpdate() { state.advance(by: 1) }

    /// Undoes updates, bit for bit.
    func undo(_ count: Int) {
        for group in pieces { add(0 &- UInt64(count), to: group) }
        state.advance(by: -count)
    }

    private func add(_ amount: UInt64, to pieces: [Piece]) {
        let threads = team.count
        team.run { thread in
            for index in stride(from: thread, to: pieces.count, by: threads) {
                pieces[index].region.add(amount, width: pieces[index].width)
            }
        }
    }
}
