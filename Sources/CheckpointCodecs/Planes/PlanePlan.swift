internal import CheckpointFormat

/// How an encoder stores a plane; what a reader sees of it is the plane's mode.
enum PlaneMethod: UInt8 {
    case raw
    /// A frame of Huffman codes alone.
    case huffman
    /// The same with more tables, for a plane that is noise in parts.
    case mixed
    /// A frame of zstd's level 1.
    case matches
    /// The smallest of those and a frame of a high level.
    case search
    case top
}

/// How an encoder stores the sub-blocks of a run.
struct PlanePlan: Equatable {
    var transform: PlaneTransform
    /// Four bits a plane.
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

    /// Whether a plane has matches: bytes that repeat.
    var hasMatches: Bool {
        for plane in 0..<transform.width where self[plane] == .matches || self[plane] == .search { return true }
        return false
    }

    /// Bytes as they are, which every sub-block can be.
    static let raw = PlanePlan(PlaneTransform(width: 1))
}

/// What a trial found for a tensor, kept by whoever saves it again: a small value, one for each tensor or block. It makes no
/// difference to what is decoded, only to how long encoding takes.
package struct CodecMemory: Sendable, Equatable {
    /// A trial is believed this many times.
    package static let uses = 16

    private var plan: PlanePlan?
    private var type: ElementType?
    private var effort = PlaneEffort.fast
    private var left = 0
    private var isHopeless = false

    package init() {}

    /// Called once for each block; whether it is worth encoding.
    mutating func begin(_ effort: PlaneEffort) -> Bool {
        if left == 0 || effort != self.effort { self = CodecMemory() }
        self.effort = effort
        left = left == 0 ? Self.uses : left
        left -= 1
        return !isHopeless
    }

    func plan(for type: ElementType?) -> PlanePlan? { type == self.type ? plan : nil }

    /// The first plan of a block stays.
    mutating func keep(_ plan: PlanePlan, for type: ElementType?) {
        guard self.plan == nil else { return }
        (self.plan, self.type) = (plan, type)
    }

    mutating func finish(isWorthwhile: Bool) { isHopeless = !isWorthwhile }
}
