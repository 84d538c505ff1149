/// The permits that a trainer was granted, and the order of its fences. A plain value.
struct MutationEpochs {
    /// Permits granted so far: for everything, and for single groups.
    private var wholeEpoch: UInt32 = 0
    private var groupEpochs: [String: UInt32] = [:]
    /// Permits held now.
    private(set) var held = 0
    /// Groups in the order of their fences, before the last save and since.
    private var fenceOrder: [String] = []
    private var fencesSinceSave: [String] = []

    /// Updates granted to a group so far, modulo 2^32.
    func epoch(of group: String) -> UInt32 { wholeEpoch &+ groupEpochs[group, default: 0] }

    mutating func granted(_ group: String?) {
        held += 1
        guard let group else { return wholeEpoch &+= 1 }
        groupEpochs[group, default: 0] &+= 1
        if !fencesSinceSave.contains(group) { fencesSinceSave.append(group) }
    }

    mutating func ended() { held -= 1 }

    /// A save begins. Returns the groups in the order in which their fences came last time.
    mutating func beginSave() -> [String] {
        if !fencesSinceSave.isEmpty { fenceOrder = fencesSinceSave }
        fencesSinceSave = []
        return fenceOrder
    }
}
