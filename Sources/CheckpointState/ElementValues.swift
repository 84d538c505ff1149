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
    ///     a `bool` is 0 or 1, and every byte except 0 is 1.
    @inline(__always)
    package static func forEach(_ region: MemoryRegion, _ type: ElementType, _ body: (Double) -> Void) {
        switch type {
        case .f64: each(region, UInt64.self) { body(Double(bitPattern: $0)) }
        case .f32: each(region, UInt32.self) { body(Double(Float(bitPattern: $0))) }
        case .f16: each(region, UInt16.self) { body(half($0)) }
        case .bf16: each(region, UInt16.self) { body(brain($0)) }
        case .f8e4m3: each(region, UInt8.self) { body(e4m3[Int($0)]) }
        case .f8e5m2: each(region, UInt8.self) { body(half(UInt16($0) << 8)) }
        case .i64: each(region, Int64.self) { body(Double($0)) }
        case .i32: each(region, Int32.self) { body(Double($0)) }
        case .i16: each(region, Int16.self) { body(Double($0)) }
        case .i8: each(region, Int8.self) { body(Double($0)) }
        case .u64: each(region, UInt64.self) { body(Double($0)) }
        case .u32: each(region, UInt32.self) { body(Double($0)) }
        case .u16: each(region, UInt16.self) { body(Double($0)) }
        case .u8: each(region, UInt8.self) { body(Double($0)) }
        case .bool: each(region, UInt8.self) { body($0 == 0 ? 0 : 1) }
        }
    }

    @inline(__always)
    private static func each<Value: BitwiseCopyable>(_ region: MemoryRegion, _: Value.Type, _ body: (Value) -> Void) {
        let values = unsafe region.bytes.bindMemory(to: Value.self)
        for index in 0..<values.count { unsafe body(values[index]) }
    }

    @inline(__always)
    static func half(_ bits: UInt16) -> Double { Double(Float16(bitPattern: bits)) }

    @inline(__always)
    static func brain(_ bits: UInt16) -> Double { Double(Float(bitPattern: UInt32(bits) << 16)) }

    /// Values of all 256 E4M3 bytes: bias 7, no infinity, one NaN per sign (OCP 8-bit Floating
    /// Point Specification, table 1).
    static let e4m3: [Double] = (0...255).map { bits in
        let (exponent, fraction) = (bits >> 3 & 15, Double(bits & 7))
        if bits & 127 == 127 { return .nan }
        let magnitude = exponent == 0 ? fraction / 512 : (8 + fraction) * Double(sign: .plus, exponent: exponent - 10, significand: 1)
        return bits < 128 ? magnitude : -magnitude
    }
}
