import CheckpointExchange
import Foundation
import Testing

@Suite(.timeLimit(.minutes(20))) struct ExchangeLimitsTests {
    @Test func theDocumentHasTheLimitsOfTheCode() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(contentsOf: root.appendingPathComponent("Formats/exchange.md"), encoding: .utf8)
        let table = try #require(page.components(separatedBy: "<!-- table: ExchangeLimits -->").dropFirst().first)
        let rows = table.components(separatedBy: "\n").dropFirst(3).prefix { $0.hasPrefix("|") }.map { row in
            row.split(separator: "|").prefix(2).map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " `")) }.joined(separator: " ")
        }
        #expect(rows == ExchangeLimits.table.map { "\($0.name) \($0.value)" })
    }
}
