import CheckpointCodecs
import CheckpointFormat
@testable import CheckpointState
import CheckpointTestSupport
import Testing

/// Conversions of floating-point elements, against what Swift and whole numbers say.
@Suite("Float conversion", .timeLimit(.minutes(5)))
struct FloatConversionTests {
    private func convert<Source: BitwiseCopyable, Result: BitwiseCopyable>(
        _ values: [Source], _ from: ElementType, _ to: ElementType, _ zero: Result
    ) throws -> (values: [Result], overflowCount: Int) {
        let conversion = try #require(FloatConversion(from: from, to: to))
        var (source, result) = (values, [Result](repeating: zero, count: values.count))
        let overflowCount = unsafe source.withUnsafeMutableBytes { source in
            unsafe result.withUnsafeMutableBytes { result in
                unsafe conversion.convert(
                    MemoryRegion(start: source.baseAddress!, count: source.count, owner: nil),
                    into: MemoryRegion(start: result.baseAddress!, count: result.count, owner: nil))
            }
        }
        return (result, overflowCount)
    }

    /// Every 16-bit pattern next to what lies between it and its neighbours.
    private static let floats: [Float] = (0...UInt16.max).flatMap { high in
        [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF].map { Float(bitPattern: UInt32(high) << 16 | $0) }
    }

    @Test("f32 to bf16 takes the nearest of the two neighbours, the even one if both are as near")
    func brain() throws {
        let (bits, overflowCount) = try convert(Self.floats, .f32, .bf16, UInt16(0))
        var expectedOverflow = 0
        for (value, bits) in zip(Self.floats, bits) {
            let result = Float(bitPattern: UInt32(bits) << 16)
            if value.isNaN {
                #expect(result.isNaN)
                continue
            }
            #expect(result.sign == value.sign)
            let below = UInt16(value.bitPattern >> 16)
            if value.bitPattern & 0xFFFF == 0 { #expect(bits == below) } else {
                let rest = value.bitPattern & 0xFFFF
                let isUp = rest > 0x8000 || rest == 0x8000 && below % 2 == 1
                #expect(bits == below + (isUp ? 1 : 0))
            }
            expectedOverflow += value.isFinite && result.isInfinite ? 1 : 0
        }
        #expect(overflowCount == expectedOverflow && overflowCount > 0)
    }

    @Test("f32 to f16 is the conversion of the language, and counts what becomes infinite")
    func half() throws {
        let (bits, overflowCount) = try convert(Self.floats, .f32, .f16, UInt16(0))
        let expected = Self.floats.map { Float16($0) }
        #expect(zip(bits, expected).allSatisfy { Float16(bitPattern: $0) == $1 || $1.isNaN && Float16(bitPattern: $0).isNaN })
        #expect(overflowCount == zip(Self.floats, expected).count { $0.isFinite && $1.isInfinite })
    }

    @Test("every narrow value comes back from a wider type as it was")
    func widening() throws {
        let all = Array(UInt16.min...UInt16.max)
        let halves = all.filter { !Float16(bitPattern: $0).isNaN }
        #expect(try convert(try convert(halves, .f16, .f32, Float(0)).values, .f32, .f16, UInt16(0)).values == halves)
        #expect(try convert(try convert(halves, .f16, .f64, 0.0).values, .f64, .f16, UInt16(0)).values == halves)
        let brains = all.filter { !Float(bitPattern: UInt32($0) << 16).isNaN }
        #expect(try convert(try convert(brains, .bf16, .f32, Float(0)).values, .f32, .bf16, UInt16(0)).values == brains)
        #expect(try convert(try convert(brains, .bf16, .f64, 0.0).values, .f64, .bf16, UInt16(0)).values == brains)
    }

    @Test("f64 to f32 is the conversion of the language; infinities and zeros keep their signs")
    func single() throws {
        let values: [Double] = [0, -0.0, 1e300, -1e300, .infinity, -.infinity, .nan, 1.0 / 3, 1e-45, -1e-60]
        let (floats, overflowCount) = try convert(values, .f64, .f32, Float(0))
        for (value, float) in zip(values, floats) {
            #expect(float.bitPattern == Float(value).bitPattern || value.isNaN && float.isNaN)
        }
        #expect(overflowCount == 2)
        #expect(try convert([Float.infinity, -0.0], .f32, .f64, 0.0).values.map(\.sign) == [.plus, .minus])
    }

    @Test("f64 to 16 bits rounds to f32 first, as PyTorch does")
    func twice() throws {
        // Just above the middle of two values of 16 bits; the middle itself, once it is an f32.
        let above = 1 + 0x1p-11 + 0x1p-40
        #expect(try convert([above], .f64, .f16, UInt16(0)).values == [Float16(1).bitPattern])
        #expect(try convert([1 + 0x1p-8 + 0x1p-40], .f64, .bf16, UInt16(0)).values == [0x3F80])
    }

    @Test("other types, and the same type, have no conversion")
    func none() {
        let floats: Set<ElementType> = [.f64, .f32, .f16, .bf16]
        for from in ElementType.allCases {
            for to in ElementType.allCases {
                let isKnown = from != to && floats.contains(from) && floats.contains(to)
                #expect((FloatConversion(from: from, to: to) != nil) == isKnown)
            }
        }
    }
}
