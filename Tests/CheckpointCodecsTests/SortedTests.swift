import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Sorted sub-blocks", .timeLimit(.minutes(20)))
struct SortedTests {
    /// Floats whose size is that of their row times that of their column, as an optimizer's moments are.
    private func product(_ rows: Int, _ columns: Int, _ random: inout SeededGenerator) -> [Float] {
        let (across, down) = ((0..<columns).map { _ in size(&random) }, (0..<rows).map { _ in size(&random) })
        return (0..<rows * columns).map { index in
            down[index / columns] * across[index % columns] * Float.random(in: 0.05...1, using: &random)
        }
    }

    private func size(_ random: inout SeededGenerator) -> Float {
        Float(sign: .plus, exponent: Int.random(in: -8...8, using: &random), significand: 1)
    }

    private func bytes(_ floats: [Float], _ type: ElementType) -> [UInt8] {
        floats.flatMap { float in
            let bits = float.bitPattern
            let all = (0..<4).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
            return type == .f32 ? all : Array(all[2...])
        }
    }

    private func layouts(_ stored: [UInt8], _ codec: CodecIdentifier, rawBytes: Int) throws -> [PlaneTransform] {
        var found: [PlaneTransform] = []
        try SubBlockReader.forEach(in: OwnedBytes(stored).region, codec, rawBytes: rawBytes) { header, _ in found.append(header.transform) }
        return found
    }

    @Test(
        "elements that follow rows and columns are sorted by them, and come back, wherever a block begins",
        arguments: [ElementType.f32, .bf16], [0, 1, 77, 5000])
    func grid(type: ElementType, skipped: Int) throws {
        var random = SeededGenerator(60)
        let (rows, columns) = (300, 200)
        let whole = bytes(product(rows, columns, &random), type)
        let range = skipped * type.width..<whole.count
        let raw = Array(whole[range])
        let run = ElementRun(range, of: type, shape: [rows, columns])
        let stored = try Planes.encode(raw, [run], .max)
        #expect(try Planes.decode(stored, rawBytes: raw.count) == raw)
        #expect(try layouts(stored, .planes, rawBytes: raw.count).allSatisfy(\.isSorted))
        let blind = try Planes.encode(raw, [ElementRun(bytes: raw.count, type: type)], .max)
        #expect(Double(stored.count) < 0.93 * Double(blind.count), "\(stored.count) of \(raw.count), \(blind.count) without rows")
    }

    @Test("what changed by a like amount everywhere is sorted by the size of what it was")
    func base() throws {
        var random = SeededGenerator(61)
        let old = product(256, 128, &random)
        let new = old.map { $0 + Float.random(in: -1e-6...1e-6, using: &random) }
        let (raw, base) = (bytes(new, .f32), bytes(old, .f32))
        let stored = try Planes.delta(raw, base: base, [ElementRun(bytes: raw.count, type: .f32)], .max)
        #expect(try Planes.decode(stored, rawBytes: raw.count, base: base) == raw)
        #expect(try layouts(stored, .delta, rawBytes: raw.count).allSatisfy { $0.isSorted && $0.residual != .none })
        let plain = try Planes.delta(raw, base: base, [ElementRun(bytes: raw.count, type: .f32)], .balanced)
        #expect(Double(stored.count) < 0.85 * Double(plain.count), "\(stored.count) against \(plain.count)")
    }

    @Test("all shapes, types and contents come back, with a base and without", arguments: Seeds.first(12))
    func anything(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        var (raw, runs) = ([UInt8](), [ElementRun]())
        for _ in 0..<1 + random.below(4) {
            let type = ElementType.allCases.randomElement(using: &random) ?? .f32
            let shape = (0..<1 + random.below(3)).map { _ in 1 + random.below([5, 40, 300].randomElement(using: &random) ?? 5) }
            let all = min(shape.reduce(1, *), 6000) * type.width
            let start = random.below(all / type.width) * type.width
            raw += (Elements.allCases.randomElement(using: &random) ?? .random).bytes(all - start, &random)
            runs.append(ElementRun(start..<all, of: type, shape: shape))
        }
        let stored = try Planes.encode(raw, runs, .max)
        #expect(try Planes.decode(stored, rawBytes: raw.count) == raw, "seed \(seed)")
        let base = raw.map { random.below(3) == 0 ? $0 &+ UInt8(random.below(4)) : $0 }
        let delta = try Planes.delta(raw, base: base, runs, .max)
        #expect(try Planes.decode(delta, rawBytes: raw.count, base: base) == raw, "seed \(seed)")
    }

    @Test("values without size, and grids without rows, do no harm")
    func edges() throws {
        let special: [Float] = [0, -0.0, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, .greatestFiniteMagnitude]
        for floats in [[Float](repeating: 0, count: 6000), (0..<6000).map { special[$0 % 7] }] {
            let raw = bytes(floats, .f32)
            for shape in [[6000], [1, 6000], [6000, 1], [2, 3000], [60, 100], [10, 20, 30]] {
                let stored = try Planes.encode(raw, [ElementRun(0..<raw.count, of: .f32, shape: shape)], .max)
                #expect(try Planes.decode(stored, rawBytes: raw.count) == raw, "\(shape)")
            }
        }
    }
}
