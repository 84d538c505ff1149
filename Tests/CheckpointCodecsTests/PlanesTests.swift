import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Planes", .timeLimit(.minutes(20)))
struct PlanesTests {
    @Test("Every type, content and effort decodes to itself", arguments: PlaneEffort.allCases, elementTypes)
    func roundTrip(_ effort: PlaneEffort, _ type: ElementType?) throws {
        var random = SeededGenerator(20)
        let lengths = Array(0...70) + [127, 129, 1000, 4095, 4096, 4097, 70_003]
        for length in lengths where effort != .max || length % 7 == 0 || length > 100 {
            for content in Elements.allCases where length < 5000 || content == .weights {
                let raw = content.bytes(length, &random)
                let stored = try Planes.encode(raw, type, effort)
                #expect(try Planes.decode(stored, rawBytes: length) == raw, "\(content), \(length) bytes")
                #expect(stored.count <= length + 36, "\(content), \(length) bytes became \(stored.count)")
            }
        }
    }

    @Test("Every length from 0 to 4096 decodes to itself", arguments: [ElementType.bf16, .f32, .f64, nil])
    func everyLength(_ type: ElementType?) throws {
        var random = SeededGenerator(21)
        let raw = Elements.weights.bytes(4096, &random)
        for length in 0...4096 {
            let part = Array(raw.prefix(length))
            let stored = try Planes.encode(part, type, random.below(2) == 0 ? .fast : .balanced)
            #expect(try Planes.decode(stored, rawBytes: length) == part, "\(length) bytes")
        }
    }

    @Test("Around the edge of a sub-block nothing is lost", arguments: PlaneEffort.allCases, [ElementType.bf16, .f32, .i64])
    func edges(_ effort: PlaneEffort, _ type: ElementType) throws {
        var random = SeededGenerator(22)
        let edge = SubBlockHeader.rawBytesMax
        let raw = Elements.weights.bytes(2 * edge + 3, &random)
        for length in [edge - 1, edge, edge + 1, edge + 8, 2 * edge - 1, 2 * edge, 2 * edge + 3] {
            let part = Array(raw.prefix(length))
            let stored = try Planes.encode(part, type, effort)
            #expect(try Planes.decode(stored, rawBytes: length) == part, "\(length) bytes")
        }
    }

    @Test("Runs of different types in one block keep their bytes", arguments: Seeds.first(40))
    func runs(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        var (raw, runs) = ([UInt8](), [ElementRun]())
        for _ in 0..<random.below(12) {
            let length = [0, 1, random.below(30), random.below(9000)].randomElement(using: &random) ?? 0
            raw += (Elements.allCases.randomElement(using: &random) ?? .random).bytes(length, &random)
            runs.append(ElementRun(bytes: length, type: elementTypes.randomElement(using: &random) ?? nil))
        }
        for effort in PlaneEffort.allCases {
            let stored = try Planes.encode(raw, runs, effort)
            #expect(try Planes.decode(stored, rawBytes: raw.count) == raw, "seed \(seed), \(effort)")
        }
    }

    /// Ratios that are missed only if the planes, the trial or a coder are wrong; figures are in the benchmark.
    @Test(
        "Each nature of elements is stored as small as its planes allow",
        arguments: [
            (Elements.weights, ElementType.f32, PlaneEffort.balanced, 1.15), (.weights, .f32, .fast, 1.12), (.equal, .f32, .fast, 1000),
            (.equal, .bf16, .balanced, 1000), (.counting, .u32, .balanced, 3.9), (.sparse, .f32, .balanced, 4), (.sparse, .f32, .fast, 2),
            (.counting, .u32, .fast, 1.9), (.counting, .u32, .max, 3.9), (.weights, .f32, .max, 1.15),
        ])
    func ratio(_ content: Elements, _ type: ElementType, _ effort: PlaneEffort, _ least: Double) throws {
        var random = SeededGenerator(23)
        let raw = content.bytes(1 << 20, &random)
        let ratio = Double(raw.count) / Double(try Planes.encode(raw, type, effort).count)
        #expect(ratio >= least, "\(content) \(type) \(effort): \(ratio)")
    }

    @Test("Text of unknown kind is stored smaller")
    func text() throws {
        let raw = Array((0..<2000).map { #"{"step": \#($0), "loss": 0.25}"# }.joined(separator: ",").utf8)
        for effort in PlaneEffort.allCases { #expect(try Planes.encode(raw, nil, effort).count < raw.count / 4, "\(effort)") }
    }

    @Test("Floats of unknown kind are recognised")
    func unknown() throws {
        var random = SeededGenerator(24)
        let raw = Elements.weights.bytes(1 << 18, &random)
        for effort in PlaneEffort.allCases { #expect(try Planes.encode(raw, nil, effort).count < raw.count * 9 / 10, "\(effort)") }
    }

    @Test("Noise is remembered, passed over, and tried again after a while")
    func memoryOfNoise() throws {
        var random = SeededGenerator(25)
        let (noise, weights) = (random.bytes(1 << 17), Elements.weights.bytes(1 << 17, &random))
        let runs = [ElementRun(bytes: 1 << 17, type: .f32)]
        var memory = CodecMemory()
        #expect(try Planes.encode(noise, runs, .balanced, memory: &memory)?.count ?? 0 > noise.count)
        for use in 1..<CodecMemory.uses {
            #expect(try Planes.encode(weights, runs, .balanced, memory: &memory) == nil, "use \(use)")
        }
        #expect(try Planes.encode(weights, runs, .balanced, memory: &memory)?.count ?? .max < weights.count * 9 / 10)
    }

    @Test("What is remembered changes no content, and another effort forgets it", arguments: Seeds.first(10))
    func memory(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        var memory = CodecMemory()
        for use in 0..<40 {
            let content = Elements.allCases.randomElement(using: &random) ?? .random
            let raw = content.bytes(random.below(5000), &random)
            let effort = use % 13 == 12 ? PlaneEffort.fast : .balanced
            let runs = [ElementRun(bytes: raw.count, type: elementTypes.randomElement(using: &random) ?? nil)]
            guard let stored = try Planes.encode(raw, runs, effort, memory: &memory) else { continue }
            #expect(try Planes.decode(stored, rawBytes: raw.count) == raw, "seed \(seed), use \(use), \(content)")
        }
    }

    @Test("A memory is a few bytes, and is copied like a number")
    func memoryLayout() {
        #expect(MemoryLayout<CodecMemory>.size <= 64)
        #expect(_isPOD(CodecMemory.self))
    }

    @Test("Too little room is told, and never written past", arguments: PlaneEffort.allCases)
    func littleRoom(_ effort: PlaneEffort) throws {
        var random = SeededGenerator(26)
        let source = try OwnedBytes(Elements.weights.bytes(6000, &random))
        let needed = try Planes.encode(source.bytes, .f32, effort).count
        for room in [0, 3, 4, 19, 20, 21, 500, needed - 100, needed - 1] {
            let target = try OwnedBytes([UInt8](repeating: 0xA5, count: room + 64))
            var memory = CodecMemory()
            let count = unsafe PlanesCodec(effort: effort).encode(
                source.region.bytes, runs: [ElementRun(bytes: 6000, type: .f32)], memory: &memory,
                into: target.region.prefix(room).mutableBytes)
            #expect(count == nil, "room \(room) of \(needed)")
            #expect(target.bytes.suffix(64).allSatisfy { $0 == 0xA5 })
        }
    }
}
