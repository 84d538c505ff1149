internal import CCheckpoint
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointStorage
internal import Checkpointing
internal import Logging

/// The object of a `ckpt_checkpointer` handle. Calls take turns, so that one thread may close it
/// while another saves.
final class CheckpointerHandle: Sendable {
    /// A checkpointer that is open.
    struct Open {
        let checkpointer: Checkpointer
        let state: LentState
        /// The fences that are held, by group; nil is the fence of all tensors.
        var fences: [String?: HeldFence] = [:]
    }

    /// A mutation permit, which may be stored.
    final class HeldFence {
        private let permit: MutationPermit

        init(_ permit: consuming MutationPermit) { self.permit = permit }
    }

    let events: EventQueue
    /// Nil when it is closed. A call may wait for the disk while it has the turn.
    private let turn: Monitor<Open?>

    /// Makes a checkpointer.
    init(store: CheckpointStore, _ options: CheckpointerOptions) throws(CheckpointError) {
        let events = EventQueue()
        var options = options
        options.onEvent = { events.add($0) }
        let state = LentState(rank: store.meeting?.ranks.rank, of: store.meeting?.ranks.worldSize)
        let checkpointer = try Checkpointer(store: store, state: state, options: options)
        self.events = events
        turn = Monitor(Open(checkpointer: checkpointer, state: state), rank: .unchecked)
    }

    /// Waits for the turn of this call, and runs `body`.
    ///
    /// - Throws: code `misuse` if the checkpointer is closed.
    func takeTurn<R>(
        _ body: (inout Open) throws(CheckpointError) -> R
    ) throws(CheckpointError) -> R {
        try turn.withLock { open throws(CheckpointError) in
            guard var current = open.take() else { throw .argument("the checkpointer is closed") }
            defer { open = current }
            return try body(&current)
        }
    }

    /// Waits for the saves in flight, and ends.
    ///
    /// - Throws: the failure of the last save, if nothing has reported it.
    func close() throws(CheckpointError) {
        try turn.withLock { open throws(CheckpointError) in
            guard var current = open.take() else { return }
            current.fences = [:]
            defer { events.close() }
            try current.checkpointer.close()
        }
    }
}

extension CheckpointerOptions {
    /// The options of a structure of checkpoint.h.
    ///
    /// - Throws: code `misuse`.
    init(_ pointer: UnsafePointer<ckpt_options>?) throws(CheckpointError) {
        self.init()
        guard let pointer = unsafe pointer else { return }
        let raw = unsafe UnsafeRawPointer(pointer)
        let size = unsafe try CallerMemory.size(raw, "options")
        let given = unsafe CallerMemory.read(raw, zero: ckpt_options(), size: size)
        run = unsafe try CallerMemory.optionalText(given.run, "options.run")
        tracePath = unsafe try CallerMemory.optionalText(given.trace_path, "options.trace_path")
        if unsafe given.arena_bytes != 0 { arenaBytes = unsafe Int(clamping: given.arena_bytes) }
        if unsafe given.chunk_bytes != 0 { chunkBytes = unsafe Int(clamping: given.chunk_bytes) }
        if unsafe given.bytes_per_second != 0 {
            bytesPerSecond = unsafe Int(clamping: given.bytes_per_second)
        }
        if unsafe given.keep_last != 0 { keepLast = unsafe Int(clamping: given.keep_last) }
        if unsafe given.exit_seconds != 0 {
            exitDeadline = try CallerMemory.duration(unsafe given.exit_seconds)
        }
        if unsafe given.termination_seconds != 0 {
            let seconds = try CallerMemory.duration(unsafe given.termination_seconds)
            let stops = unsafe Int(given.flags) & CKPT_STOP_AT_SIGTERM != 0
            onTermination = stops ? .stopTraining(within: seconds) : .publishNewest(within: seconds)
        }
        if unsafe given.mirror_seconds != 0 {
            mirrorDeadline = try CallerMemory.duration(unsafe given.mirror_seconds)
        }
        if unsafe given.workers != 0 { workers = unsafe Int(given.workers) }
        compression = try Self.choice(
            unsafe given.compression, [.auto, .none, .fast, .balanced, .max], "compression")
        capture = try Self.choice(unsafe given.capture, [.fenced, .checked, .guarded], "capture")
        backpressure = try Self.choice(
            unsafe given.backpressure, [.block, .skip, .replacePending], "backpressure")
        try set(flags: unsafe Int(given.flags))
    }

    private mutating func set(flags: Int) throws(CheckpointError) {
        let known = CKPT_NO_DEDUPLICATION | CKPT_NO_CASTS | CKPT_QUIET | CKPT_STOP_AT_SIGTERM
        guard flags & ~known == 0 else {
            throw .argument("options.flags has unknown bits: \(flags)")
        }
        guard flags & CKPT_STOP_AT_SIGTERM == 0 || onTermination != .ignore else {
            throw .argument(
                "options.flags has CKPT_STOP_AT_SIGTERM, but SIGTERM is not handled",
                remedy: "Set options.termination_seconds")
        }
        deduplicates = flags & CKPT_NO_DEDUPLICATION == 0
        dropsCasts = flags & CKPT_NO_CASTS == 0
        if flags & CKPT_QUIET != 0 {
            logger = Logger(label: "ckpt") { _ in SwiftLogNoOpLogHandler() }
        }
    }

    private static func choice<T>(
        _ number: UInt32, _ choices: [T], _ name: String
    ) throws(CheckpointError) -> T {
        guard choices.indices.contains(Int(number)) else {
            throw .argument("options.\(name) is \(number), which is not a valid value")
        }
        return choices[Int(number)]
    }
}

extension RestoreReport {
    /// The report as a structure of checkpoint.h.
    var structure: ckpt_restore_report {
        var report = ckpt_restore_report()
        report.found = 1
        report.is_from_mirror = mirror == nil ? 0 : 1
        report.step = Int64(step)
        report.tensor_count = UInt64(clamping: tensorCount)
        report.object_count = UInt64(clamping: objectCount)
        report.tensor_bytes = UInt64(clamping: tensorBytes)
        report.missing_count = UInt64(clamping: missing.count)
        report.unused_count = UInt64(clamping: unused.count)
        report.skipped_count = UInt64(clamping: skipped.count)
        CallerMemory.put(id.description, in: &report.id)
        report.first_rank_count = UInt64(clamping: fromFirstRank.count)
        report.converted_count = UInt64(clamping: converted.count)
        report.overflow_count = UInt64(clamping: overflowCount)
        return report
    }
}
