internal import CheckpointIO
internal import CheckpointState

/// Pool of reusable events: it holds the maximum number that was needed at one time.
struct EventPool {
    private(set) var all: [CUDADriver.Handle] = []
    private var free: [Int] = []
    private var isBusy: [Bool] = []

    mutating func take() -> (index: Int, event: CUDADriver.Handle)? {
        guard let index = free.popLast() else { return nil }
        isBusy[index] = true
        return (index, all[index])
    }

    /// Adds an event in the taken state.
    mutating func add(_ event: CUDADriver.Handle) -> (index: Int, event: CUDADriver.Handle) {
        all.append(event)
        isBusy.append(true)
        return (all.count - 1, event)
    }

    /// Returns the event; nil if it is not taken.
    func busyEvent(_ index: Int) -> CUDADriver.Handle? { isBusy.indices.contains(index) && isBusy[index] ? all[index] : nil }

    mutating func giveBack(_ index: Int) {
        precondition(isBusy[index], "event \(index) was given back twice")
        isBusy[index] = false
        free.append(index)
    }
}
