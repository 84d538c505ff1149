package import CheckpointCodecs
package import CheckpointFormat

/// A conversion of floating-point elements to another type: to the nearest value, ties to even. It
/// goes through `f32`, as in PyTorch, so from `f64` to a type of 16 bits it rounds twice.
package struct FloatConversion: Hashable, Sendable {
    package let from: ElementType
    package let to: ElementType

    /// Creates a conversion; nil if the types are the same, or one is not `f64`, `f32`, `f16` or
    /// `bf16`.
    package init?(from: ElementType, to: ElementType) {
        let known: [ElementType] = [.f64, .f32, .f16, .bf16]
        guard from != to, known.contains(from), known.contains(to) else { return nil }
        (self.from, self.to) = (from, to)
    }

    /// Returns the size of converted elements.
    ///
    /// - Parameter count: their size before the conversion, in bytes.
    package func bytes(ofSource count: Int) -> Int { count / from.width * to.width }

    /// Converts elements.
    ///
    /// - Parameters:
    ///   - source: elements of the old type.
    ///   - destination: overwritten; has their size after the conversion.
    /// - Returns: the number of finite elements that became infinite.
    package func convert(_ source: MemoryRegion, into destination: MemoryRegion) -> Int {
        precondition(destination.count == bytes(ofSource: source.count))
        return switch from {
        case .f64: convert(source, destination) { (bits: UInt64) in Double(bitPattern: bits) }
        case .f32:
            convert(source, destination) { (bits: UInt32) in Double(Float(bitPattern: bits)) }
        case .f16: convert(source, destination) { (bits: UInt16) in ElementValues.half(bits) }
        default: convert(source, destination) { (bits: UInt16) in ElementValues.brain(bits) }
        }
    }

    @inline(__always)
    private func convert<Source: BitwiseCopyable>(
        _ source: MemoryRegion, _ destination: MemoryRegion, _ load: (Source) -> Double
    ) -> Int {
        switch to {
        case .f64: Self.each(source, destination, load) { ($0.bitPattern, false) }
        case .f32:
            Self.each(source, destination, load) {
                let value = Float($0)
                return (value.bitPattern, value.isInfinite)
            }
        case .f16:
            Self.each(source, destination, load) {
                let value = Float16(Float($0))
                return (value.bitPattern, value.isInfinite)
            }
        default:
            Self.each(source, destination, load) {
                let bits = Self.brain(Float($0))
                return (bits, bits & 0x7FFF == 0x7F80)
            }
        }
    }

    /// Returns the bits of the nearest `bf16`.
    @inline(__always)
    private static func brain(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        // Rounding could turn a NaN into infinity.
        guard !value.isNaN else { return UInt16(bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }

    @inline(__always)
    private static func each<Source: BitwiseCopyable, Result: BitwiseCopyable>(
        _ source: MemoryRegion, _ destination: MemoryRegion, _ load: (Source) -> Double,
        _ store: (Double) -> (bits: Result, isInfinite: Bool)
    ) -> Int {
        let (old, width) = unsafe (source.bytes, MemoryLayout<Source>.size)
        let new = unsafe destination.mutableBytes
        var overflowCount = 0
        for index in 0..<source.count / width {
            let value = unsafe load(
                old.loadUnaligned(fromByteOffset: index * width, as: Source.self))
            let (bits, isInfinite) = store(value)
            overflowCount += isInfinite && value.isFinite ? 1 : 0
            unsafe new.storeBytes(
                of: bits, toByteOffset: index * MemoryLayout<Result>.size, as: Result.self)
        }
        return overflowCount
    }
}
