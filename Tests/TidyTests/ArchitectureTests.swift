import Foundation
import Testing

/// ARCHITECTURE.md names files that exist, and every lock and thread of the libraries.
@Suite("Architecture page", .timeLimit(.minutes(20)))
struct ArchitectureTests {
    private var root: URL {
        URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardized
    }

    /// Code spans of the page, in order.
    private func spans() throws -> [String] {
        let page = root.appendingPathComponent("ARCHITECTURE.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        return text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .compactMap { $0 % 2 == 1 ? String($1) : nil }
    }

    @Test("every file that the page names exists, and a bare name means one file")
    func namesFiles() throws {
        let every = FileManager.default.enumerator(atPath: root.path + "/Sources")
        let files = (every?.compactMap { $0 as? String } ?? []).filter { $0.hasSuffix(".swift") }
        let names = Dictionary(grouping: files) { URL(fileURLWithPath: $0).lastPathComponent }
        let named = try spans().filter { $0.hasSuffix(".swift") || $0.hasPrefix("Sources/") }
        #expect(named.count > 20)
        for name in named {
            if name.contains("/") {
                #expect(FileManager.default.fileExists(atPath: root.path + "/" + name), "\(name)")
            } else {
                #expect(names[name]?.count == 1, "\(name)")
            }
        }
    }

    @Test("every member that the page names is declared")
    func namesMembers() throws {
        let every = FileManager.default.enumerator(atPath: root.path + "/Sources")
        let files = (every?.compactMap { $0 as? String } ?? []).filter { $0.hasSuffix(".swift") }
        let code = try files.map {
            try String(contentsOfFile: root.path + "/Sources/" + $0, encoding: .utf8)
        }.joined()
        let members = try spans().filter { span in
            let parts = span.split(separator: ".")
            return parts.count == 2 && parts[1] != "swift"
                && parts[0].first?.isUppercase == true && !span.contains("/")
                && parts[1].first?.isLowercase == true
        }
        #expect(members.count > 20)
        for member in members where !member.hasSuffix(".md") {
            let name = member.split(separator: ".")[1]
            let isDeclared = name == "init" || code.contains("func \(name)") || code.contains(" \(name) =")
                || code.contains(" \(name):")
            #expect(isDeclared, "\(member)")
        }
    }

    // MARK: Locks and threads

    /// Code spans in one section of the page.
    private func spans(under heading: String) throws -> Set<String> {
        let page = root.appendingPathComponent("ARCHITECTURE.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        let section = try #require(text.components(separatedBy: "\n## ").first { $0.hasPrefix(heading + "\n") })
        let parts = section.split(separator: "`", omittingEmptySubsequences: false).enumerated()
        return Set(parts.compactMap { $0 % 2 == 1 ? String($1) : nil })
    }

    /// The text of every Swift file in Sources, with the name of its target.
    private func sources() throws -> [(target: String, text: String)] {
        let every = FileManager.default.enumerator(atPath: root.path + "/Sources")
        let files = (every?.compactMap { $0 as? String } ?? []).filter { $0.hasSuffix(".swift") }
        return try files.map {
            (
                $0.split(separator: "/").first.map(String.init) ?? "",
                try String(contentsOfFile: root.path + "/Sources/" + $0, encoding: .utf8)
            )
        }
    }

    /// The locks that a file keeps in properties, as `Type.name`. A property of type `Monitor` in a
    /// file that makes none belongs to another file.
    private static func locks(in text: String) -> [String] {
        let makes = text.contains(#/Monitor(<.*>)?\(/#)
        let type = #/^(?:[a-z@()]+ )*(?:struct|class|enum|actor|extension) (?<name>\w+)/#
        let property = #/^ {4}(?:[a-z()]+ )*(?:let|var) (?<name>\w+)(?<rest>: Monitor<| = (?:Monitor[<(]|NSCondition|NSLock|Mutex[<(]))/#
        var owner = ""
        var found: [String] = []
        for line in text.split(separator: "\n") {
            if let match = line.firstMatch(of: type) { owner = String(match.name) }
            guard let match = line.firstMatch(of: property), makes || match.rest.contains("=") else { continue }
            found.append("\(owner).\(match.name)")
        }
        return found
    }

    /// The names that a file gives threads, up to a number in them.
    private static func threads(in text: String) -> [String] {
        text.matches(of: #/"(?<name>(?:ckpt|sim)-[a-z]+)(?:-\\\(\w+\))?"/#).map { String($0.name) }
    }

    @Test("every lock of a library is in the section on locks")
    func namesLocks() throws {
        let known = try spans(under: "Locks")
        // The section says of these what holds for all locks in them.
        let summarised = ["CheckpointDevices", "CheckpointCABI"]
        #expect(known.isSuperset(of: summarised))
        var count = 0
        for (target, text) in try sources() where !summarised.contains(target) {
            for lock in Self.locks(in: text) {
                let owner = String(lock.prefix { $0 != "." })
                #expect(known.contains(lock) || known.contains(owner), "\(lock) of \(target) is not in ARCHITECTURE.md")
                count += 1
            }
        }
        #expect(count > 40)
    }

    @Test("every thread of a library is in the section on threads")
    func namesThreads() throws {
        let known = try spans(under: "Threads")
        var found = Set<String>()
        for (_, text) in try sources() where text.contains("name: ") && text.contains(#/Thread|ParallelMap/#) {
            found.formUnion(Self.threads(in: text))
        }
        for name in found.sorted() {
            #expect(known.contains { $0.hasPrefix(name) }, "\(name) is not in ARCHITECTURE.md")
        }
        #expect(found.count > 12)
    }

    @Test("locks and threads are found in code, however they are written")
    func findsLocksAndThreads() {
        let text = """
            package final class A {
                private let state = Monitor(State())
                static let all: Monitor<[Int]>
                private let condition = NSCondition()
                let number = 1
                func run() {
                    let local = Monitor(0)
                    _ = try WorkerThread(name: "ckpt-one") {}
                    try ParallelMap.run(2, name: "ckpt-two-\\(index)") {}
                }
            }

            extension B {
                private static let last = Monitor<Int?>(nil)
            }
            """
        #expect(Self.locks(in: text) == ["A.state", "A.all", "A.condition", "B.last"])
        #expect(Self.threads(in: text) == ["ckpt-one", "ckpt-two"])
        #expect(Self.locks(in: "struct C {\n    let limiter: Monitor<Int>?\n}") == [])
    }
}
