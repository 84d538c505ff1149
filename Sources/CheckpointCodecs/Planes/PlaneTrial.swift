internal import CheckpointFormat

/// Finds the layout and the methods that store a sample of a sub-block in the fewest bytes.
@safe
struct PlaneTrial {
    /// Size of the sample in bytes. It consists of pieces from all parts of the sub-block.
    static let sampleBytes = 64 << 10
    private static let pieces = 8
    /// Entropy, in bits per byte, from which Huffman codes save too little to be worth their time.
    private static let entropyMax = 7.85
    /// Factor by which matches must beat Huffman codes, because they take twice as long.
    private static let matchesMax = 0.97
    /// Maximum size relative to raw; a plane that is larger stays raw.
    private static let costMax = 63.0 / 64

    private let scratch: PlaneScratch
    private let effort: PlaneEffort
    private let raw: UnsafeRawBufferPointer
    private let base: UnsafeRawBufferPointer?

    /// Takes a sample of a sub-block.
    ///
    /// - Parameters:
    ///   - scratch: Memory, which is in use until the plan is made.
    ///   - effort: The effort to spend.
    ///   - raw: The bytes of the sub-block.
    ///   - base: The base's bytes, of the same length, or nil.
    init(
        _ scratch: PlaneScratch, _ effort: PlaneEffort, raw: UnsafeRawBufferPointer,
        base: UnsafeRawBufferPointer?
    ) {
        (self.scratch, self.effort) = (scratch, effort)
        unsafe self.raw = Self.sample(of: raw, in: scratch.sampleRoom)
        unsafe self.base = base.map { unsafe Self.sample(of: $0, in: scratch.baseSampleRoom) }
    }

    /// Returns the bytes themselves if they are few, otherwise pieces of them that are copied to
    /// `room`.
    private static func sample(
        of bytes: UnsafeRawBufferPointer, in room: UnsafeMutableRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        guard bytes.count > sampleBytes else { return unsafe bytes }
        let piece = sampleBytes / pieces
        let stride = (bytes.count - piece) / (pieces - 1) / 8 * 8
        for index in 0..<pieces {
            let from = unsafe UnsafeRawBufferPointer(
                rebasing: bytes[index * stride..<index * stride + piece])
            unsafe UnsafeMutableRawBufferPointer(rebasing: room[(index * piece)...]).copyMemory(
                from: from)
        }
        return unsafe UnsafeRawBufferPointer(rebasing: room[..<sampleBytes])
    }

    /// Returns the best plan for the sample.
    ///
    /// - Parameters:
    ///   - type: Type of the elements; nil if unknown.
    ///   - residuals: The residuals that may be used.
    func plan(for type: ElementType?, _ residuals: Residuals = .any) -> PlanePlan {
        var best = (plan: PlanePlan.raw, cost: Self.costMax)
        let isFloat = type?.isFloat ?? false
        for transform in candidates(for: type) where residuals.allow(transform.residual) {
            let found = estimate(effort == .max ? rotated(transform) : transform, isFloat: isFloat)
            if found.cost < best.cost { best = found }
        }
        // Floats that are mostly noise seldom repeat as complete elements, so repetition is tested
        // only if there is a sign of it.
        if isFloat, unsafe base == nil, effort == .balanced,
            best.cost > 0.97 || best.plan.hasMatches
        {
            let whole = estimate(PlaneTransform(width: 1), isFloat: isFloat)
            if whole.cost < best.cost { best = whole }
        }
        return best.plan
    }

    /// Returns the layouts that are worth a trial.
    private func candidates(for type: ElementType?) -> Candidates {
        var found = Candidates()
        let width = type?.width ?? 1
        if let type, type.isFloat, width > 1 {
            let signed = hasBothSigns(width)
            found.add(PlaneTransform(width: width, rotation: signed ? 1 : 0))
        } else if width > 1 {
            found.add(PlaneTransform(width: width))
        }
        if width == 1 || effort == .max || type?.isFloat == false {
            found.add(PlaneTransform(width: 1))
        }
        if type == nil, unsafe raw.count >= 4096 {
            found.add(PlaneTransform(width: 2, rotation: hasBothSigns(2) ? 1 : 0))
            found.add(PlaneTransform(width: 4, rotation: hasBothSigns(4) ? 1 : 0))
        }
        if unsafe base != nil { addResiduals(type, to: &found) }
        return found
    }

    private func addResiduals(_ type: ElementType?, to found: inout Candidates) {
        let width = type?.width ?? 1
        found.add(PlaneTransform(width: width, residual: .xor))
        found.add(
            PlaneTransform(width: width, residual: type?.isFloat ?? false ? .ordered : .difference))
        if type == nil, unsafe raw.count >= 4096 {
            found.add(PlaneTransform(width: 2, residual: .ordered))
            found.add(PlaneTransform(width: 4, residual: .ordered))
        }
    }

    /// Returns true if elements of both signs occur. If not, a rotation would only spread the
    /// exponent over two planes.
    private func hasBothSigns(_ width: Int) -> Bool {
        var (any, all) = (UInt8(0), UInt8(0xFF))
        for index in unsafe stride(from: width - 1, to: raw.count, by: width * 8) {
            let byte = unsafe raw[index]
            (any, all) = (any | byte, all & byte)
        }
        return (any ^ all) & 0x80 != 0
    }

    /// The residuals that may be used.
    enum Residuals {
        case none, some, any

        func allow(_ residual: PlaneTransform.Residual) -> Bool {
            switch self {
            case .none: residual == .none
            case .some: residual != .none
            case .any: true
            }
        }
    }

    /// Returns the layout with the rotation that gives its planes the lowest entropy.
    private func rotated(_ transform: PlaneTransform) -> PlaneTransform {
        let count = unsafe raw.count / transform.width
        guard transform.width > 1, count > 0 else { return transform }
        var best = (transform: transform, entropy: Double.infinity)
        for rotation in 0...7 {
            var candidate = transform
            candidate.rotation = rotation
            split(candidate, count)
            var entropy = 0.0
            for index in 0..<transform.width {
                unsafe entropy += ByteStatistics.entropy(
                    of: UnsafeRawBufferPointer(scratch.plane(index, planeBytes: count)))
            }
            if entropy < best.entropy { best = (candidate, entropy) }
        }
        return best.transform
    }

    /// Splits the elements of the sample into planes in the scratch memory.
    private func split(_ transform: PlaneTransform, _ count: Int) {
        guard let elements = unsafe raw.baseAddress else { return }
        var planes = PlanePointers()
        for index in 0..<transform.width {
            unsafe planes[index] = scratch.plane(index, planeBytes: count).baseAddress
        }
        unsafe PlaneKernels.best.split(
            elements, base: base?.baseAddress, count: count, transform, into: planes)
    }

    /// Returns the best methods for a layout, and the size relative to raw.
    private func estimate(_ transform: PlaneTransform, isFloat: Bool) -> (
        plan: PlanePlan, cost: Double
    ) {
        var plan = PlanePlan(transform)
        let count = unsafe raw.count / transform.width
        guard count > 0 else { return (.raw, 1) }
        split(transform, count)
        var sum = 0.0
        for index in 0..<transform.width {
            let plane = unsafe UnsafeRawBufferPointer(scratch.plane(index, planeBytes: count))
            let found = unsafe method(for: plane, isFloat: isFloat, isWhole: transform.width == 1)
            plan[index] = found.method
            sum += found.cost
        }
        return (plan, sum / Double(transform.width))
    }

    private func method(
        for plane: UnsafeRawBufferPointer, isFloat: Bool, isWhole: Bool
    ) -> (method: PlaneMethod, cost: Double) {
        let statistics = unsafe ByteStatistics(plane)
        var best = (method: PlaneMethod.raw, cost: 1.0)
        func consider(_ method: PlaneMethod, _ cost: Double, factor: Double = 1) {
            if cost <= min(best.cost * factor, Self.costMax) { best = (method, cost) }
        }
        let mayRepeat = isWhole || !isFloat || statistics.entropy < Self.entropyMax
        guard effort != .fast else {
            consider(.top, statistics.top.cost)
            // Tokens and texts are few compared with floats, and only matches make them smaller.
            if mayRepeat, !isFloat {
                unsafe consider(.matches, cost(of: plane, .matches), factor: 0.75)
            }
            return best
        }
        if statistics.entropy < Self.entropyMax {
            unsafe consider(.huffman, cost(of: plane, .huffman))
        }
        if mayRepeat {
            unsafe consider(.matches, cost(of: plane, .matches), factor: Self.matchesMax)
        }
        // If a quick search finds no matches, a long one seldom does.
        if effort == .max, best.method == .matches {
            unsafe consider(.search, cost(of: plane, .search))
        }
        // With this effort the encoder compares the methods itself.
        if effort == .max, best.method != .raw { best.method = .search }
        return best
    }

    private func cost(of plane: UnsafeRawBufferPointer, _ method: PlaneMethod) -> Double {
        guard let bytes = unsafe scratch.frame(plane, method, into: scratch.trialRoom) else {
            return 1
        }
        return Double(bytes) / Double(plane.count)
    }
}

/// A short list of layouts that needs no allocation.
private struct Candidates: Sequence, IteratorProtocol {
    private var transforms = InlineArray<8, PlaneTransform>(repeating: PlaneTransform(width: 1))
    private var count = 0
    private var given = 0

    mutating func add(_ transform: PlaneTransform) {
        transforms[count] = transform
        count += 1
    }

    mutating func next() -> PlaneTransform? {
        guard given < count else { return nil }
        defer { given += 1 }
        return transforms[given]
    }
}

extension ElementType {
    var isFloat: Bool {
        switch self {
        case .f64, .f32, .f16, .bf16, .f8e4m3, .f8e5m2, .f8e4m3fnuz, .f8e5m2fnuz, .f8e4m3b11fnuz,
            .f8e4m3ieee, .f8e3m4:
            true
        case .i64, .i32, .i16, .i8, .u64, .u32, .u16, .u8, .bool, .f8e8m0: false
        // Runs count these as other elements.
        case .c128, .c64, .c32, .bc32, .f6e2m3, .f6e3m2, .f4e2m1, .i4, .u4, .i2, .u2, .i1, .u1:
            false
        }
    }
}
