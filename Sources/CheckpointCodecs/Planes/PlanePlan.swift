internal import CheckpointFormat

/// An encoder's method for a plane. A reader only sees the plane's mode.
enum PlaneMethod: UInt8 {
    case raw
    /// A frame of Huffman codes without matches.
    case huffman
    /// The same with more Huffman tables, for a plane of which a part is noise.
    case mixed
    /// A frame of zstd level 1.
    case matches
    /// The smallest of these and a frame of a higher level.
    case search
    case top
}

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
