import CheckpointCodecs
import CheckpointFormat
import Checkpointing
import CheckpointState
internal import FoundationEssentials
import CheckpointTestSupport
import Synchronization
import Testing

@Suite("Whole stores", .timeLimit(.minutes(20)))
struct WholeStoreTests {
    private static let stores = ["first", "objects", "pieces", "ranks", "repacked", "restarts"]

    private static func path(_ store: String) -> String { formats.appending(path: "vectors/stores/\(store)").path }

    /// One checkpoint of expected.json.
    struct Expected: Sendable, CustomTestStringConvertible {
        var store: String
        var fields: JSONFields
        var step: Int
        var testDescription: String { "\(store), step \(step)" }

        static func all(_ store: String) -> [Expected] {
            do {
                let text = try bytes(of: "vectors/stores/\(store)/expected.json")
                // An object's integers may be larger than ours are: its value is not compared.
                let known = String(decoding: text, as: UTF8.self).replacing("18446744073709551615", with: "0").utf8
                let file = try JSONFields(try JSONParser.parse(Array(known)[...]), "expected", offset: 0)
                return try file.array("checkpoints", atMost: 100).map {
                    let fields = try JSONFields($0, "checkpoint", offset: 0)
                    return Expected(store: store, fields: fields, step: try fields.count("step"))
                }
            } catch { fatalError("expected.json: \(error)") }
        }

        func list(_ key: String) throws -> [JSONFields] {
            try fields.array(key, atMost: 1000).map { try JSONFields($0, key, offset: 0) }
        }
    }

    /// Bytes of restored objects, by name.
    private final class Objects: Sendable {
        let bytes = Mutex<[String: [UInt8]]>([:])
    }

    @Test("Every tensor and object of every checkpoint restores to its digest", arguments: stores.flatMap(Expected.all))
    func restore(_ expected: Expected) throws {
        let store = try CheckpointStore.open(Self.path(expected.store))
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
            providers.append(
                EncodedState(
                    name, freeze: { { [] } },
                    restore: { [bytes = objects] value in
                        bytes.bytes.withLock { $0[name] = value }
                    }))
        }
        let report = try store.restore(.step(expected.step), into: CompositeState(children: providers))
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

    @Test("The newest checkpoint is the last one expected, and reading writes nothing", arguments: stores)
    func latest(_ name: String) throws {
        let path = Self.path(name)
        let before = try FilesBelow(path)
        let store = try CheckpointStore.open(path)
        let expected = Expected.all(name)
        let list = try store.checkpoints().map { try $0.get() }
        #expect(list.map(\.step) == expected.reversed().map(\.step))
        #expect(try list.map(\.id.description) == expected.reversed().map { try $0.fields.string("id") })
        #expect(try FilesBelow(path) == before)
    }
}
