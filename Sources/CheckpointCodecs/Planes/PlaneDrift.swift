internal import CKernels
internal import CheckpointFormat

/// A quick check that the planes to be stored raw are noise in this sub-block too. A block may
/// contain several tensors, and a tensor may change.
@safe
struct PlaneDrift {
    private static let pieces = 16
    private static let pieceElements = 64

    private let scratch: PlaneScratch
    private let effort: PlaneEffort
    private let raw: UnsafeRawBufferPointer
    private let base: UnsafeRawBufferPointer?

    init(_ scratch: PlaneScratch, _ effort: PlaneEffort, raw: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer?) {
        (self.scratch, self.effort) = (scratch, effort)
        unsafe (self.raw, self.base) = (raw, base)
    }

    /// Returns the plan with a coder for every raw plane whose bytes are unevenly distributed in
    /// this sub-block.
    ///
    /// The limits compare concentrations (see `ck_concentration`). 1024 bytes of noise have a
    /// concentration of 5120 ± 90. At 6000 they have 7.85 bits of entropy, or a part of them is not
    /// noise.
    func adapt(_ plan: PlanePlan) -> PlanePlan {
        let (width, count) = (plan.transform.width, Self.pieces * Self.pieceElements)
        guard plan.hasRaw, unsafe raw.count >= 4 * count * width else { return plan }
        let limit = effort == .fast ? 20_000 : 6000
        let planes = sample(plan.transform, count)
        let coder: PlaneMethod = effort == .fast ? .top : effort == .max ? .search : .mixed
        var adapted = plan
        for plane in 0..<width where plan[plane] == .raw {
            guard let bytes = unsafe planes[plane] else { continue }
            let concentration = unsafe Int(ck_concentration(bytes.assumingMemoryBound(to: UInt8.self), count))
            if concentration > limit { adapted[plane] = coder }
        }
        return adapted
    }

    /// Splits elements from all parts of the sub-block into planes of `count` bytes.
    private func sample(_ transform: PlaneTransform, _ count: Int) -> PlanePointers {
        var planes = PlanePointers()
        for plane in 0..<transform.width { unsafe planes[plane] = scratch.plane(plane, planeBytes: count).baseAddress }
        let elements = unsafe gather(raw, transform.width, into: scratch.sampleRoom)
        let baseElements = unsafe base.map { unsafe gather($0, transform.width, into: scratch.baseSampleRoom) }
        unsafe PlaneKernels.best.split(elements, base: baseElements, count: count, transform, into: planes)
        return planes
    }

    private func gather(
        _ bytes: UnsafeRawBufferPointer, _ width: Int, into room: UnsafeMutableRawBufferPointer
    ) -> UnsafeRawPointer {
        let piece = Self.pieceElements * width
        let stride = (bytes.count - piece) / (Self.pieces - 1) / width * width
        guard let from = bytes.baseAddress, let to = room.baseAddress else { preconditionFailure("no bytes") }
        for index in 0..<Self.pieces { unsafe (to + index * piece).copyMemory(from: from + index * stride, byteCount: piece) }
        return UnsafeRawPointer(to)
    }
}
