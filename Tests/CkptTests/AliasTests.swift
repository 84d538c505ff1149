import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

@Suite("Equal tensors", .timeLimit(.minutes(20)))
struct AliasTests {
    private func makeStore(_ folder: TemporaryDirectory) throws -> (CheckpointStore, TestTensors) {
        // Two pairs are equal, and one has the size of another and other bytes.
        let tensors = TestTensors(sizes: [40_000, 40_000, 64, 64, 40_000])
        for (index, value) in [7, 7, 8, 8, 9].enumerated() { tensors.fill(UInt64(value), tensor: index) }
        var options = CheckpointerOptions()
        options.chunkBytes = 16384
        let store = try CheckpointStore.open(folder.path + "/store", for: .writing)
        let checkpointer = try Checkpointer(store: store, state: tensors, options: options)
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
        return (store, tensors)
    }

    @Test("are told, and share a file when asked to")
    func share() throws {
        let folder = try TemporaryDirectory()
        let (store, tensors) = try makeStore(folder)
        let aliases = try store.aliases(in: .latest)
        #expect(aliases.map(\.name) == ["tensor.1", "tensor.3"] && aliases.map(\.of) == ["tensor.0", "tensor.2"])
        let out = folder.path + "/out"
        #expect(try ckpt("restore", folder.path + "/store", "-o", out, "--aliases").status == 0)
        let files = try FileManager.default.contentsOfDirectory(atPath: out).sorted()
        #expect(files == ["00000.bin", "00002.bin", "00004.bin", "index.json"])
        struct Index: Decodable {
            struct Tensor: Decodable { var name: String, file: String }
            var tensors: [Tensor]
        }
        let index = try JSONDecoder().decode(Index.self, from: Data(contentsOf: URL(fileURLWithPath: out + "/index.json")))
        #expect(index.tensors.map(\.file) == ["00000.bin", "00000.bin", "00002.bin", "00002.bin", "00004.bin"])
        let bytes = try index.tensors.flatMap { try [UInt8](Data(contentsOf: URL(fileURLWithPath: out + "/" + $0.file))) }
        #expect(bytes == tensors.bytes)
    }

    @Test("an alias of what is not restored has a file of its own")
    func alone() throws {
        let folder = try TemporaryDirectory()
        _ = try makeStore(folder)
        let out = folder.path + "/out"
        #expect(try ckpt("restore", folder.path + "/store", "-o", out, "--aliases", "--tensor", "tensor.[!x]").status != 0)
        #expect(try ckpt("restore", folder.path + "/store", "-o", out, "--aliases", "--tensor", "tensor.1").status == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: out).sorted() == ["00001.bin", "index.json"])
    }
}
