package import CheckpointCodecs
package import CheckpointFormat

/// Conversion of the elements of memory to numbers, in order, for every element type.
package enum ElementValues {
    /// Calls `body` with the value of every element.
    ///
    /// - Parameters:
    ///   - region: row-major elements.
    ///   - type: type of the elements.
    ///   - body: called once per element, in order. Integers beyond 2^53 are rounded to a `Double`;
    ///     a `bool` is 0 or 1, and every byte except 0 is 1; a complex number is its magnitude.
    @inline(__always)
    package static func forEach(
        _ region: MemoryRegion, _ type: ElementType, _ body: (Double) -> Void
    ) {
        switch type {
        case .f64: each(region, UInt64.self) { body(Double(bitPattern: $0)) }
        case .f32: each(region, UInt32.self) { body(Double(Float(bitPattern: $0))) }
        case .f16: each(region, UInt16.self) { body(half($0)) }
        case .bf16: each(region, UInt16.self) { body(brain($0)) }
        case .i64: each(region, Int64.self) { body(Double($0)) }
        case .i32: each(region, Int32.self) { body(Double($0)) }
        case .i16: each(region, Int16.self) { body(Double($0)) }
        case .i8: each(region, Int8.self) { body(Double($0)) }
        case .u64: each(region, UInt64.self) { body(Double($0)) }
        case .u32: each(region, UInt32.self) { body(Double($0)) }
        case .u16: each(region, UInt16.self) { body(Double($0)) }
        case .u8: each(region, UInt8.self) { body(Double($0)) }
        case .bool: each(region, UInt8.self) { body($0 == 0 ? 0 : 1) }
        case .c128, .c64, .c32, .bc32: complex(region, type) { body(($0 * $0).sum().squareRoot()) }
        case .f8e4m3, .f8e5m2, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .f8e4m3b11fnuz, .f8e4m3ieee,
            .f8e3m4,
            .f6e2m3, .f6e3m2, .f4e2m1, .i4, .u4, .i2, .u2, .i1, .u1:
            small(region, type, body)
        }
    }

    /// Calls `body` with the value of every element of a type of at most 8 bits.
    private static func small(_ region: MemoryRegion, _ type: ElementType, _ body: (Double) -> Void)
    {
        guard let values = SmallFloat.values(type) else {
            preconditionFailure("a small type has a table")
        }
        forEachPattern(region, type) { body(values[$0]) }
    }

    /// Calls `body` with the bits of every element of a type of at most 8 bits.
    @inline(__always)
    static func forEachPattern(_ region: MemoryRegion, _ type: ElementType, _ body: (Int) -> Void) {
        let (bits, width, mask) = (type.bits, type.width, (1 << type.bits) - 1)
        let bytes = unsafe region.bytes
        for unit in stride(from: 0, to: region.count - width + 1, by: width) {
            var pattern = 0
            for byte in 0..<width { unsafe pattern |= Int(bytes[unit + byte]) << (8 * byte) }
            for shift in stride(from: 0, to: 8 * width, by: bits) { body(pattern >> shift & mask) }
        }
    }

    /// Calls `body` with the real and the imaginary part of every element of a complex type.
    static func complex(
        _ region: MemoryRegion, _ type: ElementType, _ body: (SIMD2<Double>) -> Void
    ) {
        var real: Double?
        forEach(region, type.complexPart ?? type) { part in
            if let known = real {
                body(SIMD2(known, part))
                real = nil
            } else {
                real = part
            }
        }
    }

    @inline(__always)
    private static func each<Value: BitwiseCopyable>(
        _ region: MemoryRegion, _: Value.Type, _ body: (Value) -> Void
    ) {
        let values = unsafe region.bytes.bindMemory(to: Value.self)
        for index in 0..<values.count { unsafe body(values[index]) }
    }

    @inline(__always)
    static func half(_ bits: UInt16) -> Double { Double(Float16(bitPattern: bits)) }

    @inline(__always)
    static func brain(_ bits: UInt16) -> Double { Double(Float(bitPattern: UInt32(bits) << 16)) }
}
