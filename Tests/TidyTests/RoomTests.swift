import Testing

@testable import TidyRules

@Suite("Rooms", .timeLimit(.minutes(20)))
struct RoomTests {
    private func tree(_ files: [String: String]) -> SourceTree {
        sampleTree(
            [.sample("T")],
            Dictionary(uniqueKeysWithValues: files.map { ("Sources/T/" + $0.key, $0.value) }))
    }

    private func circles(_ files: [String: String], facades: [RoomFacade] = []) -> [String] {
        RoomRules.circles(tree(files), facades: facades).map(\.message)
    }

    private let pair = [
        "A/X.swift": "struct X {\n    let y: Y\n}\n", "B/Y.swift": "struct Y {\n    let x: X?\n}\n",
    ]

    @Test("Two rooms that use each other are found, with a place for each arrow")
    func pairOfRooms() {
        let places = "A -> B at Sources/T/A/X.swift:2 Y, B -> A at Sources/T/B/Y.swift:2 X"
        #expect(circles(pair) == ["rooms of T use each other: " + places])
    }

    @Test("A longer circle is found once")
    func threeRooms() {
        let files = [
            "A/X.swift": "enum X { case y(Y) }", "B/Y.swift": "enum Y { case z(Z) }",
            "C/Z.swift": "class Z { var x: X? }",
        ]
        #expect(circles(files).count == 1)
        #expect(circles(files).first?.contains("C -> A at Sources/T/C/Z.swift:1 X") == true)
    }

    @Test(
        "One direction, members, comments, strings and private types make no circle",
        arguments: [
            "struct Y {}", "struct Y { let a = Other.X }", "struct Y {} // X",
            "struct Y { let a = \"X\" }",
            "private struct X {}\nstruct Y { let x: X }",
        ])
    func oneDirection(text: String) {
        #expect(circles(["A/X.swift": "struct X { let y: Y }", "B/Y.swift": text]) == [])
    }

    @Test("Members of extensions and types of two rooms have no home")
    func homeless() {
        let member = [
            "A/X.swift": "struct X { let y: Y }",
            "A/E.swift": "extension Int {\n    struct M {}\n}",
        ]
        #expect(circles(member.merging(["B/Y.swift": "struct Y { let m: M }"]) { $1 }) == [])
        let twice = [
            "A/X.swift": "struct X { let y: Y }\nstruct Same {}", "C/S.swift": "struct Same {}",
        ]
        #expect(circles(twice.merging(["B/Y.swift": "struct Y { let m: Same }"]) { $1 }) == [])
    }

    /// Room A opens the stores, and room R adds a member to them that A uses.
    private func added(_ member: String, _ use: String, _ other: String = "") -> [String] {
        circles([
            "A/Store.swift": "struct Store {\n    func open() { \(use) }\n}\n\(other)",
            "R/Store+Runs.swift": "extension Store {\n    \(member)\n}\n",
        ])
    }

    @Test(
        "A member that an extension in another room adds makes an arrow to that room",
        arguments: [
            ("package func runs() -> Int { 1 }", "runs()"),
            ("func runs() -> Int { 1 }", "other.runs()"),
            ("static func runs<T>(_: T) {}", "Self.runs(1)"),
            ("var runs: Int { 1 }", "self.runs + 1"),
        ])
    func addedMembers(member: String, use: String) {
        let places = "A -> R at Sources/T/A/Store.swift:2 runs, R -> A at Sources/T/R/Store+Runs.swift:1 Store"
        #expect(added(member, use) == ["rooms of T use each other: " + places])
    }

    @Test("Members that are private, or whose name means something else, make no arrow")
    func otherMembers() {
        let member = "func runs() {}"
        #expect(added("private func runs() {}", "runs()") == [])
        #expect(added(member, "entry.runs + 1") == [])
        #expect(added(member, "// runs()") == [])
        #expect(added("var runs: Int { 1 }", "runs()") == [])
        #expect(added(member, "runs()", "struct Other {\n    func runs() {}\n}\n") == [])
        #expect(added(member, "x.runs()", "enum Other {\n    case runs(Int)\n}\n") == [])
        let foreign = ["A/X.swift": "struct X {\n    let n = 1.runs()\n}\n", "R/Y.swift": "struct Y { let x: X }\n"]
        let onInt = "extension Int {\n    func runs() {}\n}\n"
        #expect(circles(foreign.merging(["R/Int+Runs.swift": onInt]) { $1 }) == [])
    }

    @Test("No circle is excused: those of every target count, facade or not")
    func everyCircle() {
        let facade = RoomFacade(target: "T", reason: "test")
        #expect(circles(pair, facades: [facade]) == circles(pair))
        #expect(circles(["A/X.swift": "struct X { let y: Y }", "B/Y.swift": "struct Y {}"]) == [])
    }

    @Test("Every room may use the files outside the rooms; only those of a facade may use a room")
    func roots() {
        let upward = tree(["A/X.swift": "struct X {}", "Root.swift": "struct Root { let x: X }"])
        let downward = tree([
            "A/X.swift": "struct X { let root: Root }", "Root.swift": "struct Root {}",
        ])
        let facade = RoomFacade(target: "T", reason: "test")
        #expect(RoomRules.roots(upward, facades: []).map(\.line) == [1])
        #expect(RoomRules.roots(upward, facades: [facade]).isEmpty)
        #expect(RoomRules.roots(downward, facades: []).isEmpty)
        #expect(RoomRules.roots(downward, facades: [facade]).map(\.rule) == ["room-root"])
    }

    @Test("A circle through a facade counts")
    func facadeCircle() {
        let files = [
            "A/X.swift": "struct X { let root: Root }", "Root.swift": "struct Root { let x: X }",
        ]
        #expect(circles(files) == [])
        #expect(circles(files, facades: [RoomFacade(target: "T", reason: "test")]).count == 1)
    }
}

@Suite("Graphs", .timeLimit(.minutes(20)))
struct GraphTests {
    @Test("A circle with a shortcut is left out, its parts are not")
    func shortcuts() {
        let graph = Graph(["a": ["b"], "b": ["a", "c"], "c": ["a"], "d": ["d", "a"]])
        #expect(graph.circles == [["a", "b"]])
        #expect(
            Graph(["a": ["b"], "b": ["c"], "c": ["d"], "d": ["b"]]).circles == [["b", "c", "d"]])
    }

    @Test("Levels are listed from the bottom up")
    func levels() {
        #expect(
            Graph(["top": ["middle", "low"], "middle": ["low"]]).levels == [
                ["low"], ["middle"], ["top"],
            ])
        #expect(Graph([:]).levels == [])
    }

    @Test("The picture shows modules and rooms, and fits its columns")
    func picture() {
        let names = (10..<40).map { "LongNameOfModule\($0)" }
        let target = PackageTarget(name: "T", dependencies: names.map { PackageDependency($0) })
        let files = [
            "Sources/T/A/X.swift": "struct X { let y: Y }", "Sources/T/B/Y.swift": "struct Y {}",
        ]
        let lines = GraphPicture.lines(sampleTree([target] + names.map { .sample($0) }, files))
        #expect(lines.allSatisfy { $0.count <= GraphPicture.columns })
        #expect(lines.suffix(3) == ["Rooms of T, from the bottom up", " 0  B", " 1  A -> B"])
    }
}
