import Foundation
import Testing
import TidyRules

/// This very tree keeps the rules.
@Suite("Tree", .timeLimit(.minutes(20)))
struct TreeTests {
    private let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .appendingPathComponent("../../..").standardized

    @Test func hasNoViolation() throws {
        let folders = ["Sources", "Tools", "Examples", "Tests", "Formats"]
        let files = try folders.flatMap(files) + [file("Package.swift")].compactMap { $0 }
        #expect(files.count > folders.count)
        let tree = SourceTree(manifest: try PackageManifest(json: dumpPackage()), files: files)
        let list = try String(
            contentsOf: root.appendingPathComponent(Ratchet.path), encoding: .utf8)
        for violation in checkTree(tree, try Ratchet(text: list)) {
            Issue.record("\(violation)")
        }
    }

    private func files(_ folder: String) throws -> [SourceFile] {
        let every = try #require(FileManager.default.enumerator(atPath: root.path + "/" + folder))
        // Hidden folders hold builds.
        let paths = every.compactMap { $0 as? String }
            .filter { path in !path.split(separator: "/").contains { $0.hasPrefix(".") } }
        return paths.compactMap { file(folder + "/" + $0) }
    }

    /// Nil for folders, links and bytes that are not text, which have no lines to judge.
    private func file(_ path: String) -> SourceFile? {
        guard let data = FileManager.default.contents(atPath: root.path + "/" + path),
            !data.contains(0),
            let text = String(data: data, encoding: .utf8)
        else { return nil }
        return SourceFile(path: path, text: text)
    }

    /// The scratch folder is not that of the build, which may hold its lock.
    private func dumpPackage() throws -> [UInt8] {
        let scratch = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tidy-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: scratch) }
        let swift = Process()
        swift.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        swift.arguments = [
            "timeout", "300", "swift", "package", "--package-path", root.path, "--scratch-path", scratch.path,
            "--disable-sandbox",
            "dump-package",
        ]
        let output = Pipe()
        swift.standardOutput = output
        try swift.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        swift.waitUntilExit()
        #expect(swift.terminationStatus == 0)
        return [UInt8](data)
    }
}
