import CheckpointCodecs
import CheckpointExchange
import CheckpointFormat
import CheckpointIO
import CheckpointState
import CheckpointTestSupport
import Foundation
import SystemPackage
import Testing

/// Foreign files with bytes changed at random: what is read must be refused or taken, and nothing else may happen.
@Suite(.timeLimit(.minutes(20))) struct MutatedFileTests {
    /// Whole files of every format, made once for a test.
    private struct Corpus {
        let files = InMemoryFileSystem()
        /// What is read, and which of its files is changed.
        let cases: [(read: FilePath, changed: FilePath)]
        private let contents: [FilePath: [UInt8]]

        init() throws {
            let folder = try TorchTests.makeFiles()
            try Judge.makeArrays(folder.path)
            let single = ["state.pt", "deflated.pt", "a.safetensors", "deflated.npz", "a.npz", "zip64.npz", "a.npy"]
            let distributed = ["dcp/.metadata", "dcp/__0_0.distcp"]
            var contents: [FilePath: [UInt8]] = [:]
            try files.makeDirectory("/dcp")
            for name in single + (try folder.names(in: "dcp").map { "dcp/" + $0 }) {
                let path = FilePath("/" + name)
                contents[path] = try folder.bytes(of: name)
                try files.createDurably(path, contents[path, default: []])
            }
            self.contents = contents
            cases = single.map { (FilePath("/" + $0), FilePath("/" + $0)) } + distributed.map { ("/dcp", FilePath("/" + $0)) }
        }

        func change(_ path: FilePath, _ random: inout SeededGenerator) {
            var bytes = contents[path, default: []]
            for _ in 0...random.below(3) {
                // Structure lies at both ends.
                let window = min(bytes.count, 1500)
                let place = random.below(3) == 0 ? random.below(bytes.count) : random.below(window)
                let offset = random.below(2) == 0 ? place : bytes.count - 1 - place
                switch random.below(4) {
                case 0: bytes[offset] ^= 1 << UInt8(random.below(8))
                case 1: bytes[offset] = UInt8(random.below(256))
                case 2: bytes[offset] = [0, 0x7F, 0x80, 0xFF][random.below(4)]
                default: if random.below(8) == 0 { bytes.removeLast(random.below(min(bytes.count, 500))) }
                }
            }
            files.overwrite(path, with: bytes)
        }

        func undo(_ path: FilePath) { files.overwrite(path, with: contents[path, default: []]) }
    }

    @Test(arguments: Seeds.first(3))
    func nothingButARefusalComesOfThem(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let corpus = try Corpus()
        var (taken, refused) = (0, 0)
        for (path, changed) in corpus.cases {
            for _ in 0..<60 {
                corpus.change(changed, &random)
                if read(path, corpus.files) { taken += 1 } else { refused += 1 }
            }
            corpus.undo(changed)
            #expect(read(path, corpus.files), "\(path)")
        }
        #expect(taken > 20 && refused > 100, "\(taken) \(refused)")
    }

    /// Whether it was taken; then its tensors are read as the engine would.
    private func read(_ path: FilePath, _ files: InMemoryFileSystem) -> Bool {
        do {
            let checkpoint = try ForeignReader(files, spillDirectory: "/").read(path)
            for tensor in checkpoint.tensors where (1...64 << 10).contains(tensor.view.byteCount) {
                let whole = try TensorBuffer(tensor.view.type, tensor.view.shape)
                _ = try tensor.view.capture(0..<tensor.view.byteCount, to: whole.region)
            }
            return true
        } catch {
            return false
        }
    }
}
