import CheckpointTestSupport
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

@Suite("The reader in Python", .timeLimit(.minutes(20)))
struct ReaderTests {
    /// Runs a script of `Formats/vectors`; its exit status and what it printed.
    private static func run(
        _ script: String, _ arguments: [String] = []
    ) throws -> (status: Int32, output: String) {
        try Requirement.python.check()
        let path = formats.appending(path: "vectors/" + script).path
        let outcome = try runProcess("/usr/bin/python3", [path] + arguments)
        return (outcome.status, outcome.output + outcome.errors)
    }

    @Test(
        "It reaches the expected outcome for every vector",
        .enabled(if: Requirement.python.isTested, "\(Requirement.python.reason)"))
    func vectors() throws {
        let (status, output) = try Self.run("check_vectors.py")
        #expect(status == 0, "\(output)")
        #expect(output.contains(" 0 failed"))
    }

    @Test(
        "The vectors are what their writer makes",
        .enabled(if: Requirement.python.isTested, "\(Requirement.python.reason)"))
    func writer() throws {
        let (status, output) = try Self.run("make_vectors.py", ["--check"])
        #expect(status == 0, "\(output)")
        #expect(output.contains(" 0 new, 0 different"), "\(output)")
    }
}
