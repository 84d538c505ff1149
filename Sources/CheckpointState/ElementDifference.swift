internal import CheckpointCodecs
internal import CheckpointFormat

/// How far two tensors of one type and shape are apart, element by element.
public struct ElementDifference: Equatable, Sendable {
    /// Elements compared.
    public internal(set) var elements = 0
    /// Elements whose bits differ.
    public internal(set) var changed = 0
    /// Changed elements that are, before or after, no finite number; they are in none of the figures below.
    public internal(set) var nonFinite = 0
    /// The largest |before - after|.
    public internal(set) var largest = 0.0
    /// Sum of (before - after) squared.
    public internal(set) var squares = 0.0
    /// Sum of before squared, over the finite elements.
    public internal(set) var squaresBefore = 0.0

    /// L2 norm of before - after.
    public var norm: Double { squares.squareRoot() }
    /// `norm` in proportion to the norm of before; nil if that is 0.
    public var relativeNorm: Double? { squaresBefore > 0 ? norm / squaresBefore.squareRoot() : nil }

    fileprivate mutating func add(changed value: Double, from before: Double, isFinite: Bool) {
        changed += 1
        guard isFinite else { return nonFinite += 1 }
        largest = max(largest, value)
        squares += value * value
        squaresBefore += before * before
    }
}

extension OwnedTensor {
    /// Compares with a tensor of the same type and shape. Nil for types without arithmetic here: bool, 8-bit floats.
    package func difference(to after: OwnedTensor) -> ElementDifference? {
        precondition(type == after.type && shape == after.shape)
        return switch type {
        case .f64: floats(after, UInt64.self) { Double(bitPattern: $0) }
        case .f32: floats(after, UInt32.self) { Double(Float(bitPattern: $0)) }
        case .f16: floats(after, UInt16.self) { Double(Float16(bitPattern: $0)) }
        case .bf16: floats(after, UInt16.self) { Double(Float(bitPattern: UInt32($0) << 16)) }
        case .i64: integers(after, Int64.self)
        case .i32: integers(after, Int32.self)
        case .i16: integers(after, Int16.self)
        case .i8: integers(after, Int8.self)
        case .u64: integers(after, UInt64.self)
        case .u32: integers(after, UInt32.self)
        case .u16: integers(after, UInt16.self)
        case .u8: integers(after, UInt8.self)
        case .f8e4m3, .f8e5m2, .bool: nil
        }
    }

    @inline(__always)
    private func floats<Bits: FixedWidthInteger & BitwiseCopyable>(
        _ after: OwnedTensor, _: Bits.Type, _ value: (Bits) -> Double
    ) -> ElementDifference {
        compare(after, Bits.self) { total, a, b in
            let before = value(a)
            if a == b {
                total.squaresBefore += before.isFinite ? before * before : 0
                return
            }
            let now = value(b)
            total.add(changed: abs(before - now), from: before, isFinite: before.isFinite && now.isFinite)
        }
    }

    /// The distance of two integers is exact, even where their difference does not fit their type.
    @inline(__always)
    private func integers<Value: FixedWidthInteger & BitwiseCopyable>(
        _ after: OwnedTensor, _: Value.Type
    ) -> ElementDifference {
        compare(after, Value.self) { total, a, b in
            let before = Double(a)
            guard a != b else { return total.squaresBefore += before * before }
            let distance = UInt64(truncatingIfNeeded: max(a, b)) &- UInt64(truncatingIfNeeded: min(a, b))
            total.add(changed: Double(distance), from: before, isFinite: true)
        }
    }

    @inline(__always)
    private func compare<Value: BitwiseCopyable>(
        _ after: OwnedTensor, _: Value.Type, _ add: (inout ElementDifference, Value, Value) -> Void
    ) -> ElementDifference {
        var total = ElementDifference()
        let a = unsafe region.bytes.bindMemory(to: Value.self)
        let b = unsafe after.region.bytes.bindMemory(to: Value.self)
        total.elements = a.count
        for index in 0..<total.elements { unsafe add(&total, a[index], b[index]) }
        return total
    }
}
