internal import CheckpointCodecs
internal import CheckpointGuard
internal import CheckpointState
internal import CheckpointStorage

/// The protected pages of a state while it is captured, and copies of all bytes that cannot be
/// protected. Created once and kept as long as the state does not move.
///
/// Made on the trainer's thread. Copies are written there too, and in checked mode also on the
/// worker that commits, under the lock of `MutationChecker`; other threads only read them.
final class GuardLayout: Sendable {
    let plan: CapturePlan
    let map: GuardMap
    private let addresses: [Range<UInt>?]
    private let fragments: [GuardMap.Fragment]
    /// The offset of each fragment in `copies`.
    private let offsets: [Int]
    private let fragmentsOfChunk: [Int: [Int]]
    private let copies: AlignedBuffer

    /// Computes the layout and allocates memory for the copies.
    ///
    /// - Parameters:
    ///   - plan: the capture plan.
    ///   - tensors: the tensors, in the plan's order.
    ///   - sharesPages: as in `GuardMap.init`.
    /// - Throws: `OutOfMemory`.
    init(_ plan: CapturePlan, _ tensors: [TensorItem], sharesPages: Bool) throws(OutOfMemory) {
        self.plan = plan
        addresses = tensors.map(\.view.addresses)
        var pieces: [GuardMap.Piece] = []
        var scattered: [GuardMap.Fragment] = []
        for (row, chunk) in plan.chunks.enumerated() {
            if let tensor = addresses[chunk.tensor] {
                let first = tensor.lowerBound + UInt(chunk.range.lowerBound)
                let piece = first..<first + UInt(chunk.range.count)
                pieces.append(.init(addresses: piece, tensor: chunk.tensor, chunk: row, block: chunk.block))
            } else {
                // A strided tensor of many pieces is copied completely.
                scattered.append(.init(chunk: row, range: 0..<chunk.range.count))
            }
        }
        map = GuardMap(pieces, sharesPages: sharesPages)
        fragments = map.fragments + scattered
        var end = 0
        offsets = fragments.map { fragment in
            defer { end += fragment.range.count }
            return end
        }
        fragmentsOfChunk = Dictionary(grouping: fragments.indices) { [fragments] in fragments[$0].chunk }
        copies = try AlignedBuffer(count: max(end, 1), hugePages: end >= 2 << 20)
    }

    /// Returns true if this is the layout of a state with this plan and these tensors.
    func fits(_ plan: CapturePlan, _ tensors: [TensorItem]) -> Bool {
        plan.isSame(as: self.plan) && addresses.elementsEqual(tensors.lazy.map(\.view.addresses))
    }

    /// Bytes of the state that are copied. Their share of all bytes is the cost of tensors that do
    /// not fill complete pages.
    var copiedBytes: Int { fragments.reduce(0) { $0 + $1.range.count } }

    private func copy(_ index: Int) -> MemoryRegion {
        copies.region[offsets[index]..<offsets[index] + fragments[index].range.count]
    }

    /// Copies the bytes that cannot be guarded, as they are now. On a device, that is after the
    /// work before the last `orderCopiesAfterTrainer`.
    ///
    /// - Parameters:
    ///   - tensors: the tensors, in the plan's order.
    ///   - isWanted: returns true for the chunks to copy.
    /// - Throws: `DeviceError`.
    func freeze(
        _ tensors: [TensorItem], where isWanted: (_ chunk: Int) -> Bool = { _ in true }
    ) throws(DeviceError) {
        for (index, fragment) in fragments.enumerated() where isWanted(fragment.chunk) {
            _ = try tensors[plan.chunks[fragment.chunk].tensor].view.capture(bytes(of: fragment), to: copy(index))
        }
    }

    /// Returns the byte range of the tensor that a fragment covers.
    private func bytes(of fragment: GuardMap.Fragment) -> Range<Int> {
        let start = plan.chunks[fragment.chunk].range.lowerBound
        return start + fragment.range.lowerBound..<start + fragment.range.upperBound
    }

    /// Copies the frozen bytes of a chunk to their position in `region`, which holds the chunk.
    ///
    /// - Returns: true if there are any.
    func restoreFrozen(_ chunk: Int, in region: MemoryRegion) -> Bool {
        guard let indices = fragmentsOfChunk[chunk] else { return false }
        for index in indices { region[fragments[index].range].copy(from: copy(index)) }
        return true
    }

    /// Returns the chunks whose bytes differ from the frozen copies; of devices as in `freeze`.
    func changedSinceFrozen(
        _ tensors: [TensorItem], where isWanted: (_ chunk: Int) -> Bool
    ) throws -> [Int] {
        let largest = fragments.map(\.range.count).max() ?? 0
        let now = try AlignedBuffer(count: max(largest, 1), hugePages: false).region
        return try fragments.indices.filter { index in
            let fragment = fragments[index]
            guard isWanted(fragment.chunk) else { return false }
            let hash = try tensors[plan.chunks[fragment.chunk].tensor].view.capture(bytes(of: fragment), to: now)
            return hash != copy(index).hash128
        }.map { fragments[$0].chunk }
    }
}
