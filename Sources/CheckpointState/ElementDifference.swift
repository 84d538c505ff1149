package import CheckpointCodecs
package import CheckpointFormat

/// Distance between two tensors of one type and shape, element by element, over the elements
/// compared so far.
public struct ElementDifference: Equatable, Sendable {
    /// Threshold for `beyond`: distances up to this value are not counted there.
    public let epsilon: Double
    /// Elements compared.
    public internal(set) var compared = 0
    /// Elements whose bits differ.
    public internal(set) var changed = 0
    /// Changed elements that differ by more than `epsilon`, or are not finite.
    public internal(set) var beyond = 0
    /// Changed elements that are infinite or NaN before or after. They are excluded from the
    /// figures below.
    public internal(set) var nonFinite = 0
    /// The largest |before - after|.
    public internal(set) var largest = 0.0
    /// Sum of (before - after) squared.
    public internal(set) var squares = 0.0
    /// Sum of before squared, over the finite elements.
    public internal(set) var squaresBefore = 0.0
    /// Sum of after squared, over the finite elements.
    public internal(set) var squaresAfter = 0.0
    /// Sum of before times after, over the finite elements.
    public internal(set) var product = 0.0

    /// Creates a difference over no elements.
    ///
    /// - Parameter epsilon: threshold for `beyond`, in the units of the elements.
    package init(epsilon: Double = 0) { self.epsilon = epsilon }

    /// L2 norm of before - after.
    public var norm: Double { squares.squareRoot() }
    /// `norm` relative to the norm of before; nil if that is 0.
    public var relativeNorm: Double? { squaresBefore > 0 ? norm / squaresBefore.squareRoot() : nil }
    /// Cosine of the angle between before and after; nil if one of them is 0.
    public var cosine: Double? {
        guard squaresBefore > 0, squaresAfter > 0 else { return nil }
        return min(max(product / (squaresBefore.squareRoot() * squaresAfter.squareRoot()), -1), 1)
    }

    /// Compares the elements of two regions.
    ///
    /// - Parameters:
    ///   - before: row-major elements that follow those compared so far.
    ///   - after: the same elements of the other tensor; as many bytes as `before`.
    ///   - type: type of the elements.
    package mutating func add(_ before: MemoryRegion, _ after: MemoryRegion, of type: ElementType) {
        switch type {
        case .f64: floats(before, after, UInt64.self) { Double(bitPattern: $0) }
        case .f32: floats(before, after, UInt32.self) { Double(Float(bitPattern: $0)) }
        case .f16: floats(before, after, UInt16.self, ElementValues.half)
        case .bf16: floats(before, after, UInt16.self, ElementValues.brain)
        case .bool: floats(before, after, UInt8.self) { $0 == 0 ? 0 : 1 }
        case .i64: integers(before, after, Int64.self)
        case .i32: integers(before, after, Int32.self)
        case .i16: integers(before, after, Int16.self)
        case .i8: integers(before, after, Int8.self)
        case .u64: integers(before, after, UInt64.self)
        case .u32: integers(before, after, UInt32.self)
        case .u16: integers(before, after, UInt16.self)
        case .u8: integers(before, after, UInt8.self)
        case .c128, .c64, .c32, .bc32: complex(before, after, type)
        case .f8e4m3, .f8e5m2, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .f8e4m3b11fnuz, .f8e4m3ieee,
            .f8e3m4,
            .f6e2m3, .f6e3m2, .f4e2m1, .i4, .u4, .i2, .u2, .i1, .u1:
            small(before, after, type)
        }
    }

    /// Compares elements of a type of at most 8 bits.
    private mutating func small(_ before: MemoryRegion, _ after: MemoryRegion, _ type: ElementType)
    {
        guard let values = SmallFloat.values(type) else {
            preconditionFailure("a small type has a table")
        }
        guard type.bits < 8 else { return floats(before, after, UInt8.self) { values[Int($0)] } }
        precondition(before.count == after.count)
        var old: [UInt8] = []
        old.reserveCapacity(before.count / type.width * type.elementsPerUnit)
        ElementValues.forEachPattern(before, type) { old.append(UInt8($0)) }
        var (total, index) = (self, 0)
        ElementValues.forEachPattern(after, type) { pattern in
            let (a, b) = (values[Int(old[index])], values[pattern])
            if Int(old[index]) == pattern {
                total.addEqual(a)
            } else {
                total.add(distance: abs(a - b), a, b)
            }
            index += 1
        }
        total.compared += index
        self = total
    }

    /// Compares complex numbers: the distance of two is the magnitude of their difference.
    private mutating func complex(
        _ before: MemoryRegion, _ after: MemoryRegion, _ type: ElementType
    ) {
        precondition(before.count == after.count)
        var old: [SIMD2<Double>] = []
        old.reserveCapacity(before.count / type.width)
        ElementValues.complex(before, type) { old.append($0) }
        var (total, index) = (self, 0)
        ElementValues.complex(after, type) { new in
            let bytes = index * type.width..<(index + 1) * type.width
            total.add(
                old[index], new,
                isChanged: unsafe !before[bytes].bytes.elementsEqual(after[bytes].bytes))
            index += 1
        }
        total.compared += index
        self = total
    }

    private mutating func add(_ old: SIMD2<Double>, _ new: SIMD2<Double>, isChanged: Bool) {
        let difference = old - new
        let distance = (difference * difference).sum().squareRoot()
        if isChanged { changed += 1 }
        if isChanged, !(distance <= epsilon) { beyond += 1 }
        guard (old * old).sum().isFinite, (new * new).sum().isFinite else {
            if isChanged { nonFinite += 1 }
            return
        }
        largest = max(largest, distance)
        squares += distance * distance
        squaresBefore += (old * old).sum()
        squaresAfter += (new * new).sum()
        product += (old * new).sum()
    }

    @inline(__always)
    private mutating func floats<Bits: FixedWidthInteger & BitwiseCopyable>(
        _ before: MemoryRegion, _ after: MemoryRegion, _: Bits.Type, _ value: (Bits) -> Double
    ) {
        precondition(before.count == after.count)
        let (a, b) = unsafe (
            before.bytes.bindMemory(to: Bits.self), after.bytes.bindMemory(to: Bits.self)
        )
        // Local variables stay in registers. Equal elements take the same path as others, because a
        // branch would cost more.
        var (changed, beyond, largest) = (0, 0, 0.0)
        var (squares, squaresBefore, squaresAfter, product) = (0.0, 0.0, 0.0, 0.0)
        for index in 0..<a.count {
            let isChanged = unsafe a[index] != b[index]
            let (old, new) = unsafe (value(a[index]), value(b[index]))
            let distance = old - new
            guard distance - distance == 0 else {
                addUnusual(old, new, isChanged)
                continue
            }
            let size = abs(distance)
            changed &+= isChanged ? 1 : 0
            beyond &+= size > epsilon ? 1 : 0
            largest = size > largest ? size : largest
            squares += distance * distance
            squaresBefore += old * old
            squaresAfter += new * new
            product += old * new
        }
        compared += a.count
        self.changed += changed
        self.beyond += beyond
        self.largest = max(self.largest, largest)
        self.squares += squares
        self.squaresBefore += squaresBefore
        self.squaresAfter += squaresAfter
        self.product += product
    }

    /// Adds a pair that has a non-finite element, or whose distance overflows `Double`.
    private mutating func addUnusual(_ old: Double, _ new: Double, _ isChanged: Bool) {
        if isChanged { add(distance: abs(old - new), old, new) }
    }

    /// Compares integers. Their distance is exact, even where the difference does not fit their
    /// type.
    @inline(__always)
    private mutating func integers<Value: FixedWidthInteger & BitwiseCopyable>(
        _ before: MemoryRegion, _ after: MemoryRegion, _: Value.Type
    ) {
        forEachPair(before, after, Value.self) { total, a, b in
            guard a != b else { return total.addEqual(Double(a)) }
            let distance =
                UInt64(truncatingIfNeeded: max(a, b)) &- UInt64(truncatingIfNeeded: min(a, b))
            total.add(distance: Double(distance), Double(a), Double(b))
        }
    }

    @inline(__always)
    private mutating func forEachPair<Value: BitwiseCopyable>(
        _ before: MemoryRegion, _ after: MemoryRegion, _: Value.Type,
        _ body: (inout ElementDifference, Value, Value) -> Void
    ) {
        precondition(before.count == after.count)
        let a = unsafe before.bytes.bindMemory(to: Value.self)
        let b = unsafe after.bytes.bindMemory(to: Value.self)
        // A local copy stays in registers.
        var total = self
        for index in 0..<a.count { unsafe body(&total, a[index], b[index]) }
        total.compared += a.count
        self = total
    }

    @inline(__always)
    private mutating func addEqual(_ value: Double) {
        squaresBefore += value * value
        squaresAfter += value * value
        product += value * value
    }

    @inline(__always)
    private mutating func add(distance: Double, _ old: Double, _ new: Double) {
        changed += 1
        if !(distance <= epsilon) { beyond += 1 }
        guard old.isFinite, new.isFinite else {
            nonFinite += 1
            return
        }
        largest = max(largest, distance)
        squares += distance * distance
        squaresBefore += old * old
        squaresAfter += new * new
        product += old * new
    }
}
