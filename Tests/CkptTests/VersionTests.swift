import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

@Suite(.timeLimit(.minutes(20)))
struct VersionTests {
    /// `Tools/release` tags only if the two agree, and a reader of the changelog relies on it.
    @Test func theChangelogBeginsWithThisVersion() throws {
        let text = try String(
            contentsOf: checkout.appendingPathComponent("CHANGELOG.md"), encoding: .utf8)
        let section = try #require(text.split(separator: "\n").first { $0.hasPrefix("## ") })
        #expect(section.hasPrefix("## \(LibraryVersion.number), "), "\(section)")
    }
}
