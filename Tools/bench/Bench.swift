internal import ArgumentParser
internal import CheckpointFormat
internal import CheckpointState
internal import Checkpointing
internal import Foundation
internal import Synchronization

/// Measures what saving costs a training loop: a synthetic state is saved every step while nothing changes it, then updated under a permit.
@main
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures how long saves hold a training loop up.",
        discussion: "Example: bench --store /tmp/bench --tensors 444 --megabytes 1500 --saves 10")

    @Option(help: "Directory of the store; made, and removed at the end.")
    var store: String

    @Option(help: "Number of tensors.")
    var tensors = 444

    @Option(help: "Size of the whole state, in 1e6 bytes.")
    var megabytes = 1500

    @Option(help: "Number of saves.")
    var saves = 10

    @Option(help: "Seconds of computing between a save and the update.")
    var computeSeconds = 1.0

    @Option(help: "Staging arena, in MiB.")
    var arena = 128

    @Option(help: "none, lz4, zstd or zstd:LEVEL.")
    var compression = "none"

    @Flag(inversion: .prefixedNo, help: "Write past the page cache.")
    var direct = true

    @Option(help: "Nice value of the workers.")
    var niceness = 10

    func run() throws {
        let state = try SyntheticState(tensors: tensors, bytes: megabytes * 1_000_000)
        defer { removeStore() }
        let committed = Shared<[Duration]>([])
        var options = CheckpointerOptions()
        options.onEvent = { if case .committed(let report) = $0 { committed.append(report.timeToCommitted) } }
        options.arenaBytes = arena << 20
        options.workerNiceness = niceness
        options.compression = Compression(compression) ?? .none
        let checkpointer = try Checkpointer(
            store: CheckpointStore.open(store, for: .writing, usesDirectIO: direct), state: state, options: options)
        var figures = Figures()
        for step in 1...saves { try measure(step, state, checkpointer, &figures) }
        figures.arenaHighWaterBytes = checkpointer.stall.arenaHighWaterBytes
        try checkpointer.close()
        figures.committed = committed.value
        figures.show(tensors: tensors, bytes: state.byteCount, arenaBytes: options.arenaBytes)
    }

    private func measure(
        _ step: Int, _ state: SyntheticState, _ checkpointer: Checkpointer, _ figures: inout Figures
    ) throws {
        let called = ContinuousClock.now
        let ticket = try checkpointer.save(step: step)
        figures.submit.append(.now - called)
        Thread.sleep(forTimeInterval: computeSeconds)
        let fenced = ContinuousClock.now
        let permit = checkpointer.permit()
        figures.fence.append(.now - fenced)
        state.touch(step)
        permit.end()
        try ticket.wait()
    }

    private func removeStore() {
        // What cannot be removed is left for the person who named the directory.
        try? FileManager.default.removeItem(atPath: store)
    }
}

/// Tensors of one size, filled with numbers that do not compress away.
private struct SyntheticState: StateProvider {
    private let owned: [OwnedTensor]

    init(tensors: Int, bytes: Int) throws {
        let elements = max(bytes / tensors / 4, 1)
        owned = try (0..<tensors).map { _ in try OwnedTensor(.f32, [elements]) }
        for (index, tensor) in owned.enumerated() { tensor.region.fillWithPattern(seed: UInt64(index)) }
    }

    var byteCount: Int { owned.reduce(0) { $0 + $1.region.count } }

    func describe(to inventory: inout StateInventory) {
        for (index, tensor) in owned.enumerated() {
            inventory.add(tensor: "layers.\(index / 12).weight.\(index % 12)", tensor.view, role: .parameter)
        }
    }

    /// Changes every tensor a little, so that no two checkpoints are equal.
    func touch(_ step: Int) {
        for tensor in owned { tensor.region.prefix(4).fillWithPattern(seed: UInt64(step)) }
    }
}

/// A list that the engine's threads add to.
private final class Shared<Value: RangeReplaceableCollection & Sendable>: Sendable {
    private let storage: Mutex<Value>

    init(_ value: Value) { storage = Mutex(value) }

    var value: Value { storage.withLock { $0 } }
    func append(_ element: Value.Element) { storage.withLock { $0.append(element) } }
}

private struct Figures {
    var submit: [Duration] = []
    var fence: [Duration] = []
    var committed: [Duration] = []
    var arenaHighWaterBytes = 0

    func show(tensors: Int, bytes: Int, arenaBytes: Int) {
        print("state: \(tensors) tensors, \(bytes) bytes; \(submit.count) saves")
        line("save returned after", submit)
        line("waited at the fence", fence)
        line("request to committed", committed)
        let seconds = committed.sorted()[committed.count / 2] / .seconds(1)
        print("committed at \(String(format: "%.2f", Double(bytes) / 1e9 / seconds)) GB/s (median)")
        print("arena: at most \(arenaHighWaterBytes) bytes in use of \(arenaBytes)")
    }

    private func line(_ name: String, _ values: [Duration]) {
        let sorted = values.map { $0 / .milliseconds(1) }.sorted()
        let text = [sorted[sorted.count / 2], sorted[0], sorted[sorted.count - 1]].map { String(format: "%.3f", $0) }
        print("\(name): median \(text[0]) ms, min \(text[1]), max \(text[2])")
    }
}
