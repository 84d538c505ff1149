import Foundation
import TidyRules

/// A checkout on disk.
struct Checkout {
    private let root: URL

    /// A checkout in a folder, or in the current one.
    init(_ path: String?) {
        root = URL(fileURLWithPath: path ?? ".", isDirectory: true)
    }

    /// Reads the package description and every file.
    func tree() throws -> SourceTree {
        let files = try (trackedFiles() ?? foundFiles()).compactMap { path in
            try readText(root.appendingPathComponent(path)).map { SourceFile(path: path, text: $0) }
        }
        return SourceTree(manifest: try PackageManifest(json: dumpPackage()), files: files)
    }

    /// Reads the list of known violations; a checkout without one has none.
    func ratchet() throws -> Ratchet {
        try Ratchet(text: readText(root.appendingPathComponent(Ratchet.path)) ?? "")
    }

    /// Replaces the list of known violations.
    func write(_ ratchet: Ratchet) throws {
        try Data(ratchet.text.utf8).write(to: root.appendingPathComponent(Ratchet.path))
    }

    /// The package description as JSON. A scratch folder of its own, because a build may hold the
    /// lock of the other.
    private func dumpPackage() throws -> [UInt8] {
        let scratch = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tidy-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: scratch) }
        let output = try run([
            "swift", "package", "--package-path", root.path, "--scratch-path", scratch.path,
            "--disable-sandbox",
            "dump-package",
        ])
        guard let output else {
            let command = "swift package --package-path \(root.path) dump-package"
            throw TidyError(
                message: "the package description cannot be read; run \(command) to see why")
        }
        return [UInt8](output)
    }

    /// What git knows: tracked files, and new ones that it does not ignore. Nil if this is no
    /// checkout.
    private func trackedFiles() throws -> [String]? {
        let arguments = [
            "git", "-C", root.path, "ls-files", "-z", "--cached", "--others", "--exclude-standard",
        ]
        return try run(arguments)?.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The output of a program; nil if it fails.
    private func run(_ arguments: [String]) throws -> Data? {
        let program = Process()
        program.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        program.arguments = arguments
        let output = Pipe()
        program.standardOutput = output
        program.standardError = FileHandle.nullDevice
        try program.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        program.waitUntilExit()
        return program.terminationStatus == 0 ? data : nil
    }

    /// Every file below the root but hidden ones, which hold builds and git's own.
    private func foundFiles() -> [String] {
        let every =
            FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String } ?? []
        return every.filter { path in !path.split(separator: "/").contains { $0.hasPrefix(".") } }
    }

    /// The text of a file; nil for a folder, a link, a file that has gone, and anything that is not
    /// text.
    private func readText(_ file: URL) throws -> String? {
        // A file that has gone has nothing to judge.
        let attributes = try? FileManager.default.attributesOfItem(atPath: file.path)
        guard attributes?[.type] as? FileAttributeType == .typeRegular else { return nil }
        let data = try Data(contentsOf: file)
        return data.contains(0) ? nil : String(data: data, encoding: .utf8)
    }
}
