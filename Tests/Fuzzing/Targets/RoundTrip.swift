internal import CheckpointCodecs
internal import CheckpointFormat

/// Elements that an input describes: what to do with them, their types, and their bytes.
struct RoundTrip {
    private let effort: PlaneEffort
    private let repeats: Int
    private let raw: [UInt8]
    private let runs: [ElementRun]
    private let wantsDelta: Bool

    init(_ bytes: [UInt8]) {
        var input = bytes[...]
        let control = input.popFirst() ?? 0
        // The slow effort seldom, or it is all that the fuzzer does.
        effort = control & 15 == 15 ? .max : control & 1 == 0 ? .fast : .balanced
        wantsDelta = control & 16 != 0
        repeats = 1 << Int(control >> 5)
        var runs: [ElementRun] = []
        let types: [ElementType?] = ElementType.allCases + [nil]
        for _ in 0..<Int((input.popFirst() ?? 0) & 3) {
            let (type, bytes) = (input.popFirst() ?? 0, input.popFirst() ?? 0)
            runs.append(ElementRun(bytes: Int(bytes), type: types[Int(type) % types.count]))
        }
        let type = types[Int(input.popFirst() ?? 0) % types.count]
        // Repeated, a short input is a long block.
        let all = (0..<repeats).flatMap { _ in input }
        raw = all
        var (left, fitting) = (all.count, [ElementRun]())
        for run in runs {
            fitting.append(ElementRun(bytes: min(run.bytes, left), type: run.type))
            left -= min(run.bytes, left)
        }
        var last = ElementRun(bytes: left, type: type)
        (last.columns, last.first) = (Int(control) + 2, Int(control) / 2)
        self.runs = fitting + [last]
    }

    func run() {
        let source = FuzzMemory(raw)
        let stored = FuzzMemory([UInt8](repeating: 0, count: raw.count + 256))
        let back = FuzzMemory([UInt8](repeating: 0, count: raw.count))
        let base = FuzzMemory(raw.indices.map { raw[$0] &+ UInt8($0 % 7 == 0 ? 1 : 0) })
        do throws(CodecError) {
            if wantsDelta {
                let count = DeltaCodec().encode(source.region, base: base.region, runs: runs, effort: effort, into: stored.region)
                guard let count else { preconditionFailure("no room") }
                try DeltaCodec().decode(stored.region.prefix(count), base: base.region, into: back.region)
            } else {
                var memory = CodecMemory()
                let codec = PlanesCodec(effort: effort)
                guard let count = codec.encode(source.region, runs: runs, memory: &memory, into: stored.region) else {
                    preconditionFailure("no room")
                }
                try CodecRegistry.decode(.planes, stored.region.prefix(count), into: back.region)
            }
        } catch {
            preconditionFailure("\(error)")
        }
        precondition(back.bytes == raw, "other bytes came back")
    }
}
