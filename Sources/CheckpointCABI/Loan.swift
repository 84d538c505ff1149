internal import CheckpointIO

/// The loan of the memory of one description. Lives as long as anything may read the memory.
final class Loan: Sendable {
    /// Number of the description.
    let number: UInt64
    private let ledger: LoanLedger

    fileprivate init(_ number: UInt64, in ledger: LoanLedger) {
        self.number = number
        self.ledger = ledger
    }

    deinit { ledger.end(number) }
}

/// The loans of one checkpointer, numbered from 1.
final class LoanLedger: Sendable {
    private struct State {
        var last: UInt64 = 0
        var open: Set<UInt64> = []
    }

    // A loan may end under any lock of the engine.
    private let state = Monitor(State(), rank: .unchecked)

    /// Begins a loan.
    func begin() -> Loan {
        let number = state.withLock { state in
            state.last += 1
            state.open.insert(state.last)
            return state.last
        }
        return Loan(number, in: self)
    }

    fileprivate func end(_ number: UInt64) { state.withLock { _ = $0.open.remove(number) } }

    /// The number of the oldest open loan; if none is open, that of the next one.
    var oldest: UInt64 { state.withLock { $0.open.min() ?? $0.last + 1 } }
}
