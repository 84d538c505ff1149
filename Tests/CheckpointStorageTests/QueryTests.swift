import CheckpointCatalog
import CheckpointFormat
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Foundation
import Testing

@testable import CheckpointMaintenance
@testable import CheckpointStorage

/// A summary made up for tests of pure rules.
func summary(
    run: RunID = RunID(rawValue: 1 << 80), step: Int, created: Int = 0,
    metrics: [String: Double] = [:], bytes: Int = 100, stored: Int = 50,
    tags: [String] = [], isPinned: Bool = false, parent: CheckpointID? = nil, runName: String = "r"
) -> CheckpointSummary {
    let store = StoreID(rawValue: 1)
    let parent = parent.map { Manifest.Parent(id: $0, run: run, step: 0) }
    let entry = CatalogEntry(
        name: ManifestName(run: run, step: step), id: .random(), runName: runName,
        created: created * 1000, parent: parent,
        origin: .assumed(run, store: store), worldSize: 1,
        tensorCount: 3, objectCount: 2, logicalBytes: bytes, storedBytes: stored, baseBytes: 0,
        manifestBytes: 1, manifestHash: Hash128(rawValue: 1),
        metrics: metrics)
    return CheckpointSummary(
        entry, in: store, tags: tags, isPinned: isPinned, defaultRunName: "store")
}

@Suite("Conditions", .timeLimit(.minutes(20)))
struct QueryTests {
    private let now = Date(timeIntervalSince1970: 1_000_000)

    private func holds(_ text: String, _ checkpoint: CheckpointSummary) throws -> Bool {
        try CheckpointQuery(text).matches(checkpoint, now: now)
    }

    @Test(
        "what holds of a checkpoint",
        arguments: [
            ("step>1000", false), ("step >= 1000", true), ("step=1000 and loss<2.1", true),
            ("step==1000 and not loss<2.1", false),
            ("loss<1 or loss>1.9", true), ("not (loss<1 or loss>1.9)", false),
            ("loss>1 and loss<3 or step<0", true),
            ("step<0 and step>0 or loss>1", true), ("size>=1.5kB", true), ("size<1KiB", false),
            ("stored=1MB", false), ("ratio>2", true),
            ("tensors=3 and objects!=3", true),
            ("pinned=1", true), ("tag=good*", true), ("tag!='good*'", false), ("run=exp?1", true),
            ("run=000*", true), ("parent=*", false), ("parent!=*", true),
            ("created>=1970-01-11", true), ("created<1970-01-11T00:00:01Z", true),
            ("created<1970-01-11T00:00", false), ("age<=2d", true), ("age>1d and age<38h", true),
            ("none<1", false), ("none!=1", false),
            ("not none<1", true), ("bad=nan", true), ("bad<1", false), ("bad!=1", true),
            ("'a b'=3", true), ("metric:step=7", true),
            ("best>-1e3", true), ("deep=-inf", true), ("metric:'a b'=3", true),
            ("pinned=true", true), ("size>=1.5e3", true),
            ("size>=1KB", true),
            ("NOT none<1 AND step=1000", true),
        ])
    func evaluates(_ text: String, _ expected: Bool) throws {
        let checkpoint = summary(
            step: 1000, created: 864_000,
            metrics: ["loss": 2, "bad": .nan, "a b": 3, "step": 7, "best": 0, "deep": -.infinity],
            bytes: 1500, stored: 700,
            tags: ["other", "good-1"], isPinned: true, runName: "exp-1")
        #expect(try holds(text, checkpoint) == expected)
    }

    @Test(
        "a mistake is told with its column",
        arguments: [
            ("", 1), ("step", 5), ("step>", 6), ("step>abc", 6), ("(step>1", 8), ("step>1)", 7),
            ("step>1 step<2", 8), ("step!1", 5),
            ("'abc", 1), ("run>x", 4), ("created>tomorrow", 9), ("created=2026-13-01", 9),
            ("age<7y", 5), ("size<1XB", 6),
            ("and", 4), ("not", 4), ("é>1 ?", 5), ("step>0x10", 6), ("created=2026-01-01Z", 9),
            ("step>infinity", 6), ("created=2026-02-29", 9),
        ])
    func mistakes(_ text: String, _ column: Int) throws {
        let mistake = #expect(throws: CheckpointQuery.Mistake.self) {
            _ = try CheckpointQuery(text)
        }
        #expect(mistake?.column == column, "\(String(describing: mistake))")
    }

    @Test("length and depth are bounded")
    func bounds() throws {
        let deep = String(repeating: "(", count: 64) + "step>1" + String(repeating: ")", count: 64)
        #expect(try holds(deep, summary(step: 2)))
        let many = String(repeating: "not ", count: 100) + "step>1"
        for text in [
            "(\(deep))", many, String(repeating: "(", count: 4096),
            deep + String(repeating: " ", count: 4096),
        ] {
            #expect(throws: CheckpointQuery.Mistake.self) { _ = try CheckpointQuery(text) }
        }
    }

    private func random(_ depth: Int, _ generator: inout SeededGenerator) -> (
        text: String, node: CheckpointQuery.Node
    ) {
        switch depth == 0 ? 0 : Int.random(in: 0..<5, using: &generator) {
        case 1:
            let (text, node) = random(depth - 1, &generator)
            return ("not (\(text))", .not(node))
        case 2:
            let (a, b) = (random(depth - 1, &generator), random(depth - 1, &generator))
            return ("(\(a.text)) and (\(b.text))", .and(a.node, b.node))
        case 3:
            let (a, b) = (random(depth - 1, &generator), random(depth - 1, &generator))
            return ("(\(a.text))or(\(b.text))", .or(a.node, b.node))
        default:
            let comparison =
                CheckpointQuery.Comparison.allCases.randomElement(using: &generator) ?? .less
            let value = Int.random(in: -9...9, using: &generator)
            let name = ["step", "loss", "x.y"].randomElement(using: &generator) ?? "step"
            return (
                "\(name) \(comparison.rawValue)\(value)",
                .comparison(CheckpointKey(name), comparison, .number(Double(value)))
            )
        }
    }

    @Test("what is written is what is parsed", arguments: 0..<200 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var generator = SeededGenerator(seed)
        let (text, node) = random(4, &generator)
        #expect(try CheckpointQuery(text).root == node, "seed \(seed): \(text)")
    }

    @Test("any text is parsed or refused at a place within it")
    func anything() {
        var generator = SeededGenerator(3)
        let pieces = [
            "step", "<", "=", "!", "(", ")", "and", "or", "not", " ", "'", "1", "é", "\u{0}",
            "loss", "-", "7d", "\n",
        ]
        for _ in 0..<5000 {
            let text = (0..<Int.random(in: 0..<12, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }.joined()
            do throws(CheckpointQuery.Mistake) { _ = try CheckpointQuery(text) } catch {
                #expect((1...text.count + 1).contains(error.column), "\(text.debugDescription)")
            }
        }
    }

    @Test("sorting is stable, and what has no value comes last either way")
    func order() throws {
        let all =
            [3.0, .nan, 1, 2, 1].enumerated().map {
                summary(step: $0.offset, metrics: ["loss": $0.element])
            } + [summary(step: 9)]
        func steps(_ key: String) throws -> [Int] {
            try #require(CheckpointOrder(key)).sorted(all, now: now).map(\.step)
        }
        #expect(try steps("loss") == [2, 4, 3, 0, 1, 9])
        #expect(try steps("loss:desc") == [0, 3, 2, 4, 1, 9])
        #expect(try steps("step:desc") == [9, 4, 3, 2, 1, 0])
        #expect(try steps("run") == [0, 1, 2, 3, 4, 9])
        #expect(CheckpointOrder("") == nil && CheckpointOrder(":desc") == nil)
    }
}
