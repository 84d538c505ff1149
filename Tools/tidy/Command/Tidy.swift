import Foundation
import TidyRules

/// `tidy [ROOT]`: prints every violation in a checkout as `path:line: rule: message`; exit status 1 if there is any.
@main
struct Tidy {
    static func main() throws {
        let root = URL(fileURLWithPath: CommandLine.arguments.dropFirst().first ?? ".", isDirectory: true)
        var count = 0
        for path in try trackedFiles(root) ?? foundFiles(root) {
            let file = root.appendingPathComponent(path)
            guard let text = try readText(file) else { continue }
            for violation in checkAll(path: path, text: text) {
                print(violation)
                count += 1
            }
        }
        if count > 0 {
            FileHandle.standardError.write(Data("tidy: \(count) violation\(count == 1 ? "" : "s")\n".utf8))
            exit(1)
        }
    }

    /// What git knows: tracked files, and new ones that it does not ignore. Nil if this is no checkout.
    private static func trackedFiles(_ root: URL) throws -> [String]? {
        let git = Process()
        git.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        git.arguments = ["git", "-C", root.path, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        let output = Pipe()
        git.standardOutput = output
        git.standardError = FileHandle.nullDevice
        try git.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        git.waitUntilExit()
        guard git.terminationStatus == 0 else { return nil }
        return data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }.sorted()
    }

    /// Every file below the root but hidden ones, which hold builds and git's own.
    private static func foundFiles(_ root: URL) -> [String] {
        let every = FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String } ?? []
        return every.filter { path in !path.split(separator: "/").contains { $0.hasPrefix(".") } }.sorted()
    }

    /// The text of a file; nil for a folder, a link, a file that has gone, and anything that is not text.
    private static func readText(_ file: URL) throws -> String? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: file.path)  // gone: nothing to judge
        guard attributes?[.type] as? FileAttributeType == .typeRegular else { return nil }
        let data = try Data(contentsOf: file)
        return data.contains(0) ? nil : String(data: data, encoding: .utf8)
    }
}
