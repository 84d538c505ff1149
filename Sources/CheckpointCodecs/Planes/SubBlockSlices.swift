internal import CheckpointFormat

/// Cuts a block into sub-blocks of at most the format's maximum size. Adjacent runs of one type are
/// joined, except for long runs if each is to be examined separately.
struct SubBlockSlices: Sequence, IteratorProtocol {
    private let runs: [ElementRun]
    private var index = 0
    private var offset = 0
    private var left = 0
    private var type: ElementType?
    /// The current run; nil if several runs have been joined.
    private var run: ElementRun?
    private var runStart = 0
    /// Size in bytes from which a run is not joined with others.
    private let aloneMin: Int

    /// Cuts a block whose types are known.
    ///
    /// - Parameters:
    ///   - runs: The types of all bytes of the block, in order.
    ///   - isThorough: Give every run of at least 8 KiB its own sub-blocks.
    init(_ runs: [ElementRun], isThorough: Bool) {
        self.runs = runs
        aloneMin = isThorough ? 8 << 10 : .max
    }

    /// Cuts a block of unknown type.
    init(unknown bytes: Int) { (runs, left, aloneMin) = ([], bytes, .max) }

    mutating func next() -> SubBlockSlice? {
        while index < runs.count, left == 0 || canJoin(runs[index]) { join(runs[index]) }
        guard left > 0 else { return nil }
        let bytes = Swift.min(left, SubBlockHeader.rawBytesMax)
        defer {
            offset += bytes
            left -= bytes
        }
        return SubBlockSlice(
            offset: offset, bytes: bytes, type: type, run: run, runOffset: offset - runStart)
    }

    private func canJoin(_ next: ElementRun) -> Bool {
        next.bytes == 0
            || next.type == type && next.bytes < aloneMin
                && (run.map { $0.bytes < aloneMin } ?? true)
    }

    private mutating func join(_ next: ElementRun) {
        index += 1
        guard next.bytes > 0 else { return }
        if left == 0 { (run, runStart) = (next, offset) } else { run = nil }
        type = next.type
        left += next.bytes
    }
}
