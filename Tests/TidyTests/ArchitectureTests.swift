import Foundation
import Testing

/// ARCHITECTURE.md names files that exist.
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
}
