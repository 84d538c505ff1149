internal import CheckpointFormat
internal import CheckpointState
internal import Checkpointing
internal import Foundation
internal import SystemPackage

/// Restores the last checkpoint, timed, and compares it with the state it was made from.
struct RestorePhase {
    /// Seconds from opening the store until every tensor was in place: from the disk, and from the page cache.
    private(set) var cold: [Double] = []
    private(set) var warm: [Double] = []
    /// Seconds from opening the store until one tensor was in place.
    private(set) var oneTensor: [Double] = []
    private(set) var isBitExact = true
    /// The one tensor.
    let sample: TensorSpecification

    private let state: TrainingState
    private let settings: Settings
    private let step: Int

    /// - Parameter step: the checkpoint to restore, whose state `state` is.
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

    /// A matrix as one would look at: the smallest tensor of a MiB or more, else the largest.
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
        try CheckpointStore.open(settings.store).restore(
            .step(step), into: state, matching: NamePattern(sample.name), threads: settings.workers)
    }

    /// Drops the store's files from the page cache. A machine below this one may still hold them.
    private func evict() throws {
        let root = URL(fileURLWithPath: settings.store, isDirectory: true)
        let names = FileManager.default.enumerator(at: root, includingPropertiesForKeys: [.isRegularFileKey])
        for case let file as URL in names ?? .init() where try file.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true {
            let descriptor = try FileDescriptor.open(FilePath(file.path), .readOnly)
            try descriptor.closeAfter {
                // Advice: what the kernel cannot drop stays, and the figure is that of a warm restore.
                _ = posix_fadvise(descriptor.rawValue, 0, 0, POSIX_FADV_DONTNEED)
            }
        }
    }
}
