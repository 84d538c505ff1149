import Foundation
import Testing
import TidyRules

/// This very tree keeps the rules.
@Suite("Tree", .timeLimit(.minutes(20)))
struct TreeTests {
    @Test(arguments: ["Sources", "Tools", "Examples", "Tests", "Formats"])
    func hasNoViolation(folder: String) throws {
        let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardized
        let every = try #require(FileManager.default.enumerator(atPath: root.path + "/" + folder))
        var checked = 0
        for case let name as String in every {
            let path = folder + "/" + name
            // Folders, links and bytes that are not text have no lines to judge.
            guard let data = FileManager.default.contents(atPath: root.path + "/" + path), !data.contains(0),
                let text = String(data: data, encoding: .utf8)
            else { continue }
            checked += 1
            let violations = checkAll(path: path, text: text)
            #expect(violations.isEmpty, "\(violations)")
        }
        #expect(checked > 0)
    }
}
