import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Damaged planes", .timeLimit(.minutes(20)))
struct PlaneDamageTests {
    /// Small blocks that have every mode, and sub-blocks of several types.
    private func samples() throws -> [(raw: [UInt8], stored: [UInt8])] {
        var random = SeededGenerator(50)
        let weights = Elements.weights.bytes(803, &random)
        let raw = weights + [UInt8](repeating: 9, count: 100) + Elements.sparse.bytes(400, &random)
        let runs = [ElementRun(bytes: 803, type: .f32), ElementRun(bytes: 100, type: .u8), ElementRun(bytes: 400, type: .bf16)]
        return try PlaneEffort.allCases.map { (raw, try Planes.encode(raw, runs, $0)) }
    }

    @Test("Every mode occurs in what is damaged here")
    func modes() throws {
        var modes: Set<PlaneMode> = []
        for (raw, stored) in try samples() {
            let memory = try OwnedBytes(stored)
            var (reader, left) = (unsafe SubBlockReader(memory.region.bytes, codec: .planes), raw.count)
            while left > 0 {
                let header = try reader.header(rawLeft: left)
                let rows = try (0..<header.transform.width).map { try reader.row($0, of: header) }
                modes.formUnion(rows.map(\.mode))
                left -= header.rawBytes
                try reader.advance(header.storedBytes(rows.map(\.storedBytes).reduce(0, +)))
            }
            #expect(reader.isAtEnd)
        }
        #expect(modes == Set(PlaneMode.allCases))
    }

    @Test("Every truncation and every byte more is refused, and says where")
    func truncations() throws {
        for (raw, stored) in try samples() {
            for cut in 0..<stored.count { refuse(Array(stored[..<cut]), raw.count, "cut at \(cut) of \(stored.count)") }
            for extra in [1, 8, 16, 100] { refuse(stored + [UInt8](repeating: 0, count: extra), raw.count, "\(extra) bytes more") }
            for size in [1, raw.count - 1, raw.count + 1, 2 * raw.count] { refuse(stored, size, "for \(size) bytes") }
        }
    }

    private func refuse(_ stored: [UInt8], _ rawBytes: Int, _ what: String) {
        let error = #expect(throws: CodecError.self, "\(what)") { try Planes.decode(stored, rawBytes: rawBytes) }
        #expect(error?.codec == .planes)
        #expect(error?.message.contains("stored offset") == true, "\(what): \(error?.message ?? "")")
    }

    @Test("Every changed byte is refused, or decodes to as many bytes as there should be", arguments: [UInt8(0x01), 0x80, 0xFF, 0x55])
    func changes(_ change: UInt8) throws {
        for (raw, stored) in try samples() {
            for index in stored.indices {
                var damaged = stored
                damaged[index] ^= change
                // Decoded or refused: `decode` checks the canary either way.
                do { _ = try Planes.decode(damaged, rawBytes: raw.count) } catch let error as CodecError { #expect(error.codec == .planes) }
            }
        }
    }

    @Test("Headers of any bytes are refused or obeyed, never believed", arguments: Seeds.first(20))
    func garbage(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let base = random.bytes(2000)
        for _ in 0..<300 {
            let size = 1 + random.below(2000)
            var stored: [UInt8] = []
            while stored.count < 40 || random.below(3) > 0 {
                stored += [UInt8(truncatingIfNeeded: size), UInt8(size >> 8), 0, UInt8(random.below(40))]
                for _ in 0..<8 { stored += [UInt8(random.below(256)), 0, 0, UInt8(random.below(20))] }
                stored += random.bytes(random.below(300))
            }
            do { _ = try Planes.decode(stored, rawBytes: size) } catch is CodecError {}
            do { _ = try Planes.decode(stored, rawBytes: size, base: Array(base.prefix(size))) } catch is CodecError {}
        }
    }
}
