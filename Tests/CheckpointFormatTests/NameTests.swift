import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Ids and names", .timeLimit(.minutes(20)))
struct NameTests {
    private static let hex = "0123456789abcdef0123456789abcdef"
    private static let digits = "00000000000000001000"

    @Test("An id is 32 lower-case hexadecimal digits, and nothing else")
    func identifiers() {
        #expect(CheckpointID(Self.hex)?.description == Self.hex)
        #expect(CheckpointID(Self.hex)?.rawValue == 0x0123_4567_89AB_CDEF_0123_4567_89AB_CDEF)
        #expect(StoreID(rawValue: 1).description == String(repeating: "0", count: 31) + "1")
        let most = String(Self.hex.dropLast())
        var bad = ["", most, Self.hex + "0", Self.hex.uppercased(), "+\(most)", "-\(most)", " \(most)"]
        bad += ["\(most)g", "\(most)\u{FF10}", "\(most.dropLast())\u{E9}"]
        for text in bad { #expect(CheckpointID(text) == nil, "\(text)") }
    }

    @Test("A random id is never zero, and ids sort as their text does", arguments: Seeds.first(50))
    func order(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        let a = CheckpointID(rawValue: random.identifier() >> UInt128(random.below(100)))
        let b = CheckpointID(rawValue: random.identifier() >> UInt128(random.below(100)))
        #expect((a < b) == a.description.utf8.lexicographicallyPrecedes(b.description.utf8))
        #expect(CheckpointID(a.description) == a)
        #expect(CheckpointID.random().rawValue != 0)
    }

    @Test("Each run id is later than the one before, even when the clock goes back", arguments: Seeds.first(30))
    func runs(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        var clock: UInt64 = 1_733_000_000_000
        var newest: RunID?
        for _ in 0..<50 {
            clock = clock &+ UInt64(random.below(10_000)) &- 5000
            let run = RunID.next(clockMilliseconds: clock, after: newest)
            if let newest { #expect(run > newest) }
            #expect(run.milliseconds >= clock)
            newest = run
        }
    }

    @Test("A run id stays later when the time of the newest is the last there is")
    func lastRun() {
        let last = RunID(rawValue: 0xFFFF_FFFF_FFFF << 80 | 7)
        #expect(RunID.next(clockMilliseconds: 1_733_000_000_123, after: last) > last)
    }

    @Test("A run id carries the clock's time when nothing is newer")
    func runTime() {
        let run = RunID.next(clockMilliseconds: 1_733_000_000_123, after: RunID(rawValue: 5 << 80))
        #expect(run.milliseconds == 1_733_000_000_123)
        #expect(run.description.hasPrefix(String(1_733_000_000_123, radix: 16).leftPadded(to: 12)))
        let late = RunID(rawValue: 1_733_000_000_124 << 80 | 7)
        #expect(RunID.next(clockMilliseconds: 1_733_000_000_123, after: late).milliseconds == 1_733_000_000_125)
    }

    @Test("Manifest names sort as bytes do", arguments: Seeds.first(100))
    func manifestOrder(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        let runs = [RunID(rawValue: random.identifier()), RunID(rawValue: random.identifier() >> 90)]
        let names = (0..<12).map { _ in
            ManifestName(run: runs[random.below(2)], step: random.below(.max) >> random.below(63))
        }
        let byBytes = names.sorted { $0.description.utf8.lexicographicallyPrecedes($1.description.utf8) }
        #expect(names.sorted() == byBytes)
        for name in names { #expect(ManifestName(name.description) == name) }
    }

    @Test(
        "Only the exact form is a manifest's name",
        arguments: [
            "", ".manifest", "\(hex)-\(digits).manifes", "\(hex)-\(digits).Manifest", "\(hex)-\(digits).manifest ",
            "\(hex)_\(digits).manifest", "\(hex)-0\(digits).manifest", "\(hex)-+0000000000000001000.manifest",
            "\(hex)--0000000000000001000.manifest", "0\(hex.dropFirst().uppercased())-\(digits).manifest",
            "\(hex)-99999999999999999999.manifest", "\(hex)-09223372036854775808.manifest",
            "../\(hex)-\(digits).manifest",
            "\(hex)-0000000000000000100\u{661}.manifest", "\(hex)-\(digits).manifest\u{301}",
        ])
    func badManifestNames(_ text: String) { #expect(ManifestName(text) == nil) }

    @Test("The last step has a name")
    func lastStep() {
        let name = ManifestName("\(Self.hex)-09223372036854775807.manifest")
        #expect(name?.step == .max && name?.run.description == Self.hex)
    }

    @Test("Segment names: their form, and nothing else")
    func segmentNames() {
        let text = "\(Self.hex)-00003-00017.segment"
        let name = SegmentName(text)
        #expect(name?.rank == 3 && name?.number == 17 && name?.description == text)
        let bad = [
            "\(Self.hex)-3-17.segment", "\(Self.hex)-00003-00017.segmen", "\(Self.hex)-00003-0001a.segment",
            "\(Self.hex)-00003-000017.segment", "\(Self.hex)-00003-00017-segment", "\(Self.hex)-+0003-00017.segment",
            "\(Self.hex.uppercased())-00003-00017.segment", "\(Self.hex)-00003-00017.SEGMENT",
        ]
        for text in bad { #expect(SegmentName(text) == nil, "\(text)") }
    }

    @Test("Names and messages of launches, and what is none")
    func launches() {
        let name = LaunchName(Hash128(rawValue: 0xAB))
        #expect(name.description == String(repeating: "0", count: 30) + "ab.launch")
        #expect(LaunchName(name.description) == name)
        for text in ["", ".launch", "ab.launch", name.description.uppercased(), "\(name).launch"] {
            #expect(LaunchName(text) == nil, "\(text)")
        }
        #expect(LaunchMessage.name(call: 12, rank: 345) == "000012-00345.message")
        let message = LaunchMessage(
            milliseconds: 1 << 40, life: CheckpointID(rawValue: 7), content: [1, 2, 3])
        let bytes = message.encoded()
        #expect(bytes.count == 27)
        #expect(LaunchMessage(decoding: bytes) == message)
        #expect(LaunchMessage(decoding: Array(bytes.prefix(24)))?.content == [])
        #expect(LaunchMessage(decoding: Array(bytes.prefix(23))) == nil)
    }
}

extension String {
    fileprivate func leftPadded(to count: Int) -> String { String(repeating: "0", count: count - utf8.count) + self }
}
