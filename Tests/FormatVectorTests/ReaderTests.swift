import Foundation
import Testing

/// Names and sizes of all files below a directory.
struct FilesBelow: Equatable {
    var sizes: [String: Int] = [:]

    init(_ path: String) throws {
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            let attributes = try FileManager.default.attributesOfItem(atPath: path + "/" + name)
            sizes[name] = attributes[.size] as? Int
        }
    }
}

@Suite("The reader in Python")
struct ReaderTests {
    private static let python = "/usr/bin/python3"
    private static let isRequired = ProcessInfo.processInfo.environment["CI"] == "true"

    /// Runs Python; its exit status and what it printed.
    private static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(filePath: python)
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    private static let hasModules = (try? run(["-c", "import xxhash, zstandard, lz4.block"]).status) == 0

    @Test(
        "It reaches the expected outcome for every vector",
        .enabled(if: hasModules || isRequired, "python3-xxhash, python3-zstandard or python3-lz4 is not installed"))
    func vectors() throws {
        let (status, output) = try Self.run([formats.appending(path: "vectors/check_vectors.py").path])
        #expect(status == 0, "\(output)")
        #expect(output.contains(" 0 failed"))
    }

    @Test(
        "The vectors are what their writer makes",
        .enabled(if: hasModules || isRequired, "python3-xxhash, python3-zstandard or python3-lz4 is not installed"))
    func writer() throws {
        let (status, output) = try Self.run([formats.appending(path: "vectors/make_vectors.py").path, "--check"])
        #expect(status == 0, "\(output)")
        #expect(output.contains(" 0 new, 0 different"), "\(output)")
    }
}
