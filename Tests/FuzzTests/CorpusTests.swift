import FuzzTargets
import Foundation
import Testing

/// Tests/FuzzCorpus beside this test.
private let corpus = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "FuzzCorpus")

@Suite("Fuzzing", .timeLimit(.minutes(20)))
struct CorpusTests {
    @Test("Every input that a fuzzer kept is still survived", arguments: FuzzTarget.allCases)
    func replay(_ target: FuzzTarget) throws {
        let folder = corpus.appending(path: target.rawValue)
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty, "\(target) has no corpus")
        for file in files { target.run(Array(try Data(contentsOf: file))) }
    }

    @Test("The golden vectors, read as anything, are survived", arguments: FuzzTarget.allCases)
    func vectors(_ target: FuzzTarget) throws {
        let vectors = corpus.deletingLastPathComponent().deletingLastPathComponent().appending(path: "Formats/vectors")
        for folder in ["valid", "invalid"] {
            let files = try FileManager.default.contentsOfDirectory(
                at: vectors.appending(path: folder), includingPropertiesForKeys: nil)
            #expect(files.count > 50)
            for file in files where file.pathExtension == "bin" { target.run(Array(try Data(contentsOf: file).prefix(20_000))) }
        }
    }

    @Test("The corpus stays small")
    func size() throws {
        let names = try FileManager.default.subpathsOfDirectory(atPath: corpus.path)
        let bytes = try names.reduce(0) { sum, name in
            let attributes = try FileManager.default.attributesOfItem(atPath: corpus.path + "/" + name)
            return sum + (attributes[.size] as? Int ?? 0)
        }
        #expect(bytes < 200_000, "\(bytes) bytes")
    }
}
