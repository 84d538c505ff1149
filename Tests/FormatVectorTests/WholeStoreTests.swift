import CheckpointCodecs
import CheckpointFormat
import Checkpointing
import CheckpointState
internal import FoundationEssentials
import LayerTesting
import Synchronization
import Testing

@Suite("Whole stores")
struct WholeStoreTests {
    private static let path = formats.appending(path: "vectors/stores/first").path

    /// One checkpoint of expected.json.
    struct Expected: Sendable, CustomTestStringConvertible {
        var fields: JSONFields
        var step: Int
        var testDescription: String { "step \(step)" }

        static let all: [Expected] = {
            do {
                let text = try bytes(of: "vectors/stores/first/expected.json")
                let file = try JSONFields(try JSONParser.parse(text[...]), "expected", offset: 0)
                return try file.array("checkpoints", atMost: 100).map {
                    let fields = try JSONFields($0, "checkpoint", offset: 0)
                    return Expected(fields: fields, step: try fields.count("step"))
                }
            } catch { fatalError("expected.json: \(error)") }
        }()

        func list(_ key: String) throws -> [JSONFields] {
            try fields.array(key, atMost: 1000).map { try JSONFields($0, key, offset: 0) }
        }
    }

    /// Bytes of restored objects, by name.
    private final class Objects: Sendable {
        let bytes = Mutex<[String: [UInt8]]>([:])
    }

    @Test("Every tensor and object of every checkpoint restores to its digest", arguments: Expected.all)
    func restore(_ expected: Expected) throws {
        let store = try CheckpointStore.open(Self.path)
        let objects = Objects()
        var memories: [(name: String, digest: Hash128, memory: OwnedBytes)] = []
        var providers: [any StateProvider] = []
        for tensor in try expected.list("tensors") {
            let type = try #require(ElementType(rawValue: try tensor.string("type")))
            let shape = try tensor.counts("shape", atMost: 32)
            let memory = try OwnedBytes(zeros: try #require(TensorShape.byteCount(shape, type)))
            let name = try tensor.string("name")
            memories.append((name, try tensor.identifier("digest"), memory))
            providers.append(TensorState(name, try TensorView(memory.lent, type: type, shape: shape)))
        }
        for name in try expected.list("objects").map({ try $0.string("name") }) {
            providers.append(EncodedState(name, freeze: { { [] } }, restore: { [bytes = objects] value in
                bytes.bytes.withLock { $0[name] = value }
            }))
        }
        let report = try store.restore(.step(expected.step), into: State(children: providers))
        #expect(report.id.description == (try expected.fields.string("id")))
        #expect(report.run.description == (try expected.fields.string("run")))
        #expect(report.step == expected.step)
        #expect(report.tensorCount == memories.count)
        for (name, digest, memory) in memories { #expect(memory.region.hash128 == digest, "tensor \(name)") }
        let restored = objects.bytes.withLock { $0 }
        for object in try expected.list("objects") {
            let found = try #require(restored[try object.string("name")])
            #expect(Hashing.digest(found[...]) == (try object.identifier("digest")))
            #expect(found.count == (try object.count("bytes")))
        }
    }

    @Test("The newest checkpoint is the last one expected, and reading writes nothing")
    func latest() throws {
        let before = try FilesBelow(Self.path)
        let store = try CheckpointStore.open(Self.path)
        let list = try store.checkpoints().map { try $0.get() }
        #expect(list.map(\.step) == Expected.all.reversed().map(\.step))
        #expect(try list.map(\.id.description) == Expected.all.reversed().map { try $0.fields.string("id") })
        #expect(try FilesBelow(Self.path) == before)
    }
}
