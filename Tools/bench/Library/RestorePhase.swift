internal import CheckpointFormat
internal import CheckpointState
internal import Checkpointing
internal import Foundation
internal import SystemPackage

/// Timed restores of the last checkpoint, which are compared with the state that was saved.
struct RestorePhase {
    /// Times in seconds from opening the store until every tensor was restored: `cold` from the
    /// disk, `warm` from the page cache.
    private(set) var cold: [Double] = []
    private(set) var warm: [Double] = []
    /// Times in seconds from opening the store until one tensor was restored.
    private(set) var oneTensor: [Double] = []
    private(set) var isBitExact = true
    /// The tensor of `oneTensor`.
    let sample: TensorSpecification

    private let state: TrainingState
    private let settings: Settings
    private let step: Int

    /// Runs all restores.
    ///
    /// - Parameters:
    ///   - state: the state as it was at `step`; it is restored into.
    ///   - step: step of the checkpoint to restore.
    ///   - settings: settings of the benchmark.
    /// - Throws: the engine's errors, or those of dropping the page cache.
    init(_ state: TrainingState, step: Int, _ settings: Settings) throws {
        (self.state, self.step, self.settings) = (state, step, settings)
        sample = Self.typical(state.tensors.map(\.specification))
        let hashes = state.hashes
        for _ in 0..<3 {
            try evict()
            cold.append(try restoreAll(hashes))
            warm.append(try restoreAll(hashes))
        }
        for _ in 0..<7 { oneTensor.append(try timed { try restoreSample() }) }
        isBitExact = isBitExact && state.hashes == hashes
    }

    /// Returns a typical matrix to look at: the smallest tensor of at least 1 MiB, or the largest
    /// if all are smaller.
    private static func typical(_ tensors: [TensorSpecification]) -> TensorSpecification {
        let sizes = { (a: TensorSpecification, b: TensorSpecification) in a.byteCount < b.byteCount }
        return tensors.filter { $0.byteCount >= 1 << 20 }.min(by: sizes) ?? tensors.max(by: sizes) ?? tensors[0]
    }

    private func timed(_ body: () throws -> Void) rethrows -> Double {
        let began = ContinuousClock.now
        try body()
        return (ContinuousClock.now - began).seconds
    }

    private mutating func restoreAll(_ hashes: [Hash128]) throws -> Double {
        state.scribble()
        let time = try timed {
            try CheckpointStore.open(settings.store).restore(.step(step), into: state, threads: settings.workers)
        }
        isBitExact = isBitExact && state.hashes == hashes && state.hasAllObjects
        return time
    }

    private func restoreSample() throws {
        let store = try CheckpointStore.open(settings.store)
        // Of several ranks, each has a part of the tensor.
        guard settings.group == nil, let tensor = state.tensors.first(where: { $0.specification.name == sample.name }) else {
            try store.restore(.step(step), into: state, matching: NamePattern(sample.name), threads: settings.workers)
            return
        }
        try store.lookup(.step(step)).read(tensor: sample.name, into: tensor.view, threads: settings.workers)
    }

    /// Drops the store's files from the page cache. If this is a virtual machine, its host may
    /// still cache them.
    private func evict() throws {
        let root = URL(fileURLWithPath: settings.store, isDirectory: true)
        let names = FileManager.default.enumerator(at: root, includingPropertiesForKeys: [.isRegularFileKey])
        for case let file as URL in names ?? .init() where try file.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true {
            let descriptor = try FileDescriptor.open(FilePath(file.path), .readOnly)
            try descriptor.closeAfter {
                // This is only advice: pages that the kernel cannot drop stay cached, and the
                // figure is then that of a warm restore.
                _ = posix_fadvise(descriptor.rawValue, 0, 0, POSIX_FADV_DONTNEED)
            }
        }
    }
}
