import CheckpointFormat
import CheckpointState
import CheckpointTestSupport
import Checkpointing
import Foundation

/// What a run of the real program gave.
struct Run {
    var status: Int32
    var output: String
    var errors: String

    /// The JSON object on standard output.
    func json() throws -> Fields {
        Fields(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any] ?? [:])
    }
}

/// Members of a JSON object, by type.
struct Fields {
    let members: [String: Any]

    init(_ members: [String: Any]) { self.members = members }

    func text(_ key: String) -> String? { members[key] as? String }
    func integer(_ key: String) -> Int? { members[key] as? Int }
    func number(_ key: String) -> Double? { members[key] as? Double }
    func flag(_ key: String) -> Bool? { members[key] as? Bool }
    func texts(_ key: String) -> [String] { members[key] as? [String] ?? [] }
    func integers(_ key: String) -> [Int]? { members[key] as? [Int] }
    func object(_ key: String) -> Fields { Fields(members[key] as? [String: Any] ?? [:]) }
    func list(_ key: String) -> [Fields] { (members[key] as? [[String: Any]] ?? []).map { Fields($0) } }

    /// The element of a list that has this name.
    func element(_ key: String, named name: String) -> Fields? { list(key).first { $0.text("name") == name } }
}

/// The program, which the build leaves beside the tests.
let program = (Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0]))
    .deletingLastPathComponent().appendingPathComponent("ckpt")

func ckpt(_ arguments: String...) throws -> Run { try ckpt(arguments) }

/// - Parameter environment: variables to be set besides those of the tests.
func ckpt(_ arguments: [String], environment: [String: String] = [:]) throws -> Run {
    try execute(program, arguments, environment)
}

/// Runs any program.
func execute(_ program: URL, _ arguments: [String], _ environment: [String: String] = [:]) throws -> Run {
    let outcome = try runProcess(program.path, arguments, environment: environment)
    return Run(status: outcome.status, output: outcome.output, errors: outcome.errors)
}

/// The root of the checkout.
let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// A training state small enough to look at: three tensors and two objects.
struct Trainer {
    let weight: TensorBuffer
    let bias: TensorBuffer
    let moment: TensorBuffer
    let cursor: Box<Int>

    init() throws {
        weight = try .of((0..<4096).map { Float($0) / 8 }, [64, 64])
        bias = try .of([Float](repeating: 1, count: 16), [16])
        moment = try .of([Float](repeating: 0, count: 4096), [64, 64])
        cursor = Box(0)
    }

    func state(weight name: String = "model.weight") -> CompositeState {
        CompositeState {
            TensorState(name, weight.view)
            TensorState("model.bias", bias.view)
            TensorState("optimizer.m", moment.view, role: .optimizer)
            ObjectState("cursor", role: .data, get: { [cursor] in cursor.value }, set: { [cursor] in cursor.value = $0 })
            EncodedState("rng", role: .rng, freeze: { { [1, 2, 3, 255] } }, restore: { _ in })
        }
    }
}

extension TensorBuffer {
    static func of(_ values: [Float], _ shape: [Int]) throws -> TensorBuffer {
        let bytes = values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) } }
        return try TensorBuffer(.f32, shape, bytes: bytes)
    }
}

/// A store with steps 10 and 20, between which bias and cursor change.
struct Sample {
    let folder: TemporaryDirectory
    var store: String { folder.path + "/store" }

    init(compression: Compression = .none, weight name: String = "model.weight", runName: String = "sample") throws {
        folder = try TemporaryDirectory()
        let trainer = try Trainer()
        var options = CheckpointerOptions()
        // Checkpoints of a sample have segments of their own.
        options.deduplicates = false
        options.chunkBytes = 8192
        options.arenaBytes = 1 << 20
        options.compression = compression
        let isValid = runName.utf8.count <= 256 && !runName.unicodeScalars.contains { $0.value < 32 || $0.value == 127 }
        options.run = isValid ? runName : "sample"
        let store = try CheckpointStore.open(folder.path + "/store", for: .writing)
        let checkpointer = try Checkpointer(store: store, state: trainer.state(weight: name), options: options)
        try checkpointer.save(step: 10, metrics: ["loss": 0.5]).wait()
        checkpointer.mutate {
            trainer.bias.region.store(TensorBuffer.bytes(of: 3, count: 16)[...])
            trainer.cursor.value = 7
        }
        try checkpointer.save(step: 20, metrics: ["loss": 0.25]).wait()
        try checkpointer.close()
        if !isValid { try rewrite { $0.runName = runName } }
    }

    /// Changes every manifest in place, as no writer does. Without its catalog, it is believed.
    private func rewrite(_ change: (inout Manifest) -> Void) throws {
        for name in try CheckpointStore.open(store).files.names() {
            var manifest = try CheckpointStore.open(store).files.load(name).manifest
            change(&manifest)
            try Data(manifest.encoded(digest: Hashing.digest)).write(to: URL(fileURLWithPath: "\(store)/manifests/\(name)"))
        }
        try FileManager.default.removeItem(atPath: store + "/catalog.sqlite")
    }

    /// Where the first block of a tensor lies.
    func place(of tensor: String, step: Int) throws -> (file: String, offset: Int) {
        let manifest = try CheckpointStore.open(store).load(.step(step)).manifest
        guard let record = manifest.tensors.first(where: { $0.name == tensor }) else { throw Missing() }
        let block = manifest.blocks[manifest.chunks[record.shards[0].chunks.lowerBound].block]
        return ("store/segments/\(manifest.segments[block.segment].name)", block.offset)
    }

    /// Adds a checkpoint at step 30 that is step 20's but for what `change` does to it.
    func forge(_ change: (inout Manifest) -> Void) throws {
        var manifest = try CheckpointStore.open(store).load(.step(20)).manifest
        manifest.id = .random()
        manifest.step = 30
        change(&manifest)
        let path = "\(store)/manifests/\(manifest.name)"
        try Data(manifest.encoded(digest: Hashing.digest)).write(to: URL(fileURLWithPath: path))
    }

    struct Missing: Error {}
}

extension TensorBuffer {
    static func bytes(of value: Float, count: Int) -> [UInt8] {
        (0..<count * 4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 % 4 * 8)) }
    }
}
