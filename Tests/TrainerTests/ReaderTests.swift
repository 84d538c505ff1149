import CheckpointTestSupport
import Foundation
import Testing

/// The independent reader and the engine agree about a store that the trainer wrote.
@Suite("Two readers", .timeLimit(.minutes(20)))
struct ReaderTests {
    struct Listing: Decodable, Equatable {
        struct Tensor: Decodable, Equatable {
            var name: String
            var type: String
            var shape: [Int]
            var role: String
            var digest: String
        }

        struct Object: Decodable, Equatable {
            var name: String
            var role: String
            var bytes: Int
            var digest: String
        }

        var id: String
        var step: Int
        var tensors: [Tensor]
        var objects: [Object]
    }

    private static let reader = URL(fileURLWithPath: #filePath)
        .appendingPathComponent("../../../Formats/reader/read_checkpoint.py").standardized.path

    private func listing(_ program: Program, _ arguments: [String], _ directory: TemporaryDirectory) throws -> Listing {
        let outcome = try program.run(arguments, in: directory)
        try #require(outcome.status == 0, "\(outcome.output)")
        return try JSONDecoder().decode(Listing.self, from: Data(outcome.output.utf8))
    }

    @Test(
        "the Python reader and ckpt give the same digest for every tensor and object",
        arguments: ["none", "lz4", "zstd", "balanced"], ["f32", "bf16"])
    func sameDigests(compression: String, precision: String) throws {
        try Requirement.python.check()
        let directory = try TemporaryDirectory()
        let store = directory.appending("store")
        let trained = try Program("ReferenceTrainer").run(
            trainerArguments(store: store, steps: 12, every: 5, more: ["--compression", compression, "--precision", precision]),
            in: directory)
        try #require(trained.status == 0, "\(trained.output)")
        let python = Program(unchecked: "/usr/bin/python3")
        for reference in ["latest", "5", "10"] {
            let independent = try listing(python, [Self.reader, store, reference, "--json"], directory)
            let ours = try listing(Program("ckpt"), ["inspect", store, reference, "--digests", "--json"], directory)
            #expect(independent == ours)
            #expect(ours.tensors.count == (precision == "bf16" ? 112 : 84) && ours.objects.count == 5)
        }
        let verified = try python.run([Self.reader, store, "--verify"], in: directory)
        #expect(verified.status == 0, "\(verified.output)")
    }
}
