import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Deltas", .timeLimit(.minutes(20)))
struct DeltaTests {
    /// The next step's bytes: most elements changed a little.
    private func stepped(_ base: [UInt8], _ type: ElementType?, _ random: inout SeededGenerator) -> [UInt8] {
        var raw = base
        for index in stride(from: 0, to: base.count, by: type?.width ?? 1) where random.below(3) > 0 {
            raw[index] = raw[index] &+ UInt8(random.below(5))
        }
        return raw
    }

    @Test("A delta and its base give the bytes back", arguments: PlaneEffort.allCases, elementTypes)
    func roundTrip(_ effort: PlaneEffort, _ type: ElementType?) throws {
        var random = SeededGenerator(40)
        for length in Array(0...17) + [63, 64, 65, 1001, 4096, 66_001] {
            for content in Elements.allCases where length < 5000 || content == .weights {
                let base = content.bytes(length, &random)
                for raw in [base, stepped(base, type, &random), random.bytes(length)] {
                    let stored = try Planes.delta(raw, base: base, [ElementRun(bytes: length, type: type)], effort)
                    #expect(try Planes.decode(stored, rawBytes: length, base: base) == raw, "\(content), \(length) bytes")
                }
            }
        }
    }

    @Test("Runs of different types, against a base", arguments: Seeds.first(30))
    func runs(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        var (base, runs) = ([UInt8](), [ElementRun]())
        for _ in 0..<random.below(8) {
            let length = random.below(6000)
            base += (Elements.allCases.randomElement(using: &random) ?? .random).bytes(length, &random)
            runs.append(ElementRun(bytes: length, type: elementTypes.randomElement(using: &random) ?? nil))
        }
        let raw = stepped(base, .f32, &random)
        for effort in PlaneEffort.allCases {
            let stored = try Planes.delta(raw, base: base, runs, effort)
            #expect(try Planes.decode(stored, rawBytes: raw.count, base: base) == raw, "seed \(seed), \(effort)")
        }
    }

    @Test("A step's change is much smaller than the weights; a useless base costs nothing", arguments: [PlaneEffort.balanced, .max])
    func ratio(_ effort: PlaneEffort) throws {
        var random = SeededGenerator(41)
        let base = Elements.weights.bytes(1 << 19, &random)
        let runs = [ElementRun(bytes: base.count, type: .f32)]
        let alone = try Planes.encode(base, .f32, effort).count
        let step = try Planes.delta(stepped(base, .f32, &random), base: base, runs, effort).count
        #expect(step * 3 < alone, "\(step) against \(alone)")
        let useless = try Planes.delta(base, base: random.bytes(base.count), runs, effort).count
        #expect(useless <= alone + alone / 200, "\(useless) against \(alone)")
        #expect(try Planes.delta(base, base: base, runs, effort).count < 100)
    }

    @Test("Without its base, or with one of another length, a delta is refused by name")
    func baseless() throws {
        var random = SeededGenerator(42)
        let base = Elements.weights.bytes(4000, &random)
        let stored = try Planes.delta(base, base: base, [ElementRun(bytes: 4000, type: .f32)], .balanced)
        let (source, target) = (try OwnedBytes(stored), try OwnedBytes(zeros: 4000))
        let error = #expect(throws: CodecError.self) {
            try CodecRegistry.decode(.delta, source.region, into: target.region)
        }
        #expect(error?.codec == .delta && error?.message.contains("base") == true)
        #expect(throws: CodecError.self) { try Planes.decode(stored, rawBytes: 4000, base: Array(base.dropLast())) }
        // Codec 3 has no base, so a residual is damage there.
        #expect(throws: CodecError.self) { try Planes.decode(stored, rawBytes: 4000) }
    }
}
