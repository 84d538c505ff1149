internal import CheckpointFormat

/// An encoder's choice of transform and methods for the sub-blocks of a run.
struct PlanePlan: Equatable {
    var transform: PlaneTransform
    /// The methods, four bits for each plane.
    private var methods: UInt32 = 0

    init(_ transform: PlaneTransform) { self.transform = transform }

    subscript(plane: Int) -> PlaneMethod {
        get { PlaneMethod(rawValue: UInt8(methods >> (4 * UInt32(plane)) & 15)) ?? .raw }
        set {
            let shift = 4 * UInt32(plane)
            methods = methods & ~(15 << shift) | UInt32(newValue.rawValue) << shift
        }
    }

    var hasRaw: Bool {
        for plane in 0..<transform.width where self[plane] == .raw { return true }
        return false
    }

    /// True if a plane has matches, which are repeated byte sequences.
    var hasMatches: Bool {
        for plane in 0..<transform.width where self[plane] == .matches || self[plane] == .search { return true }
        return false
    }

    /// The plan that stores bytes unchanged, which is possible for every sub-block.
    static let raw = PlanePlan(PlaneTransform(width: 1))
}
