internal import CheckpointFormat
package import Checkpointing
internal import Logging

/// What is measured, and with what engine: the command line of `ckpt bench`, checked.
package struct Settings: Sendable {
    /// When the state may change while a save is in flight.
    package enum Capture: String, CaseIterable, Sendable {
        /// The trainer waits until what it changes has been captured.
        case fenced
        /// As `fenced`, and changes without a permit are looked for.
        case checked
        /// The trainer waits for nothing: its writes are held where they come too early.
        case guarded

        fileprivate var option: CheckpointerOptions.Capture {
            switch self {
            case .fenced: .fenced
            case .checked: .checked
            case .guarded: .guarded
            }
        }
    }

    /// Directory of the store; made, and removed at the end unless `keepsStore`.
    package var store = ""
    package var keepsStore = false
    package var state = StateSource.synthetic(.gpt2)
    /// Bytes of a synthetic state, in proportion to its full size.
    package var scale = 1.0
    /// Measured steps.
    package var steps = 20
    /// A save is asked for at every step that this divides.
    package var every = 1
    /// Steps before each measured phase, without saves.
    package var warmup = 2
    /// Duration of forward and backward without checkpoints, in seconds.
    package var computeSeconds = 1.0
    package var computeThreads = 2
    package var capture = Capture.fenced
    package var usesDirectIO = true
    package var usesGroupFences = true
    package var hasPriority = true
    /// File for a trace of the measured phase (Formats/trace.md).
    package var trace: String?
    /// Measures the reference writer, too: into fresh files, and over an old one.
    package var measuresWriter = false
    package var measuresRecycledWriter = false
    package var compression = Compression.none
    package var arenaMebibytes = 128
    package var workers = 2
    package var niceness = 10
    package var keepLast: Int? = 2
    package var backpressure = CheckpointerOptions.Backpressure.block
    package var deduplicates = true
    package var mechanisms = Mechanisms()

    package init() {}

    /// What is wrong with the settings, or nil.
    package var mistake: String? {
        let bounds: [(name: String, value: Int, range: ClosedRange<Int>)] = [
            ("--steps", steps, 1...1_000_000), ("--every", every, 1...max(steps, 1)), ("--warmup", warmup, 0...1000),
            ("--compute-threads", computeThreads, 1...256), ("--arena", arenaMebibytes, 1...1 << 20),
            ("--workers", workers, 1...64), ("--niceness", niceness, 0...19), ("--keep-last", keepLast ?? 1, 1...1_000_000),
        ]
        for bound in bounds where !bound.range.contains(bound.value) {
            return "\(bound.name) is \(bound.value), not from \(bound.range.lowerBound) to \(bound.range.upperBound)"
        }
        if !(0...3600).contains(computeSeconds) { return "--compute-seconds is \(computeSeconds), not from 0 to 3600" }
        if !(scale > 0 && scale <= 1) { return "--scale is \(scale), not above 0 and at most 1" }
        if scale != 1, case .workload = state { return "--scale is for synthetic states: a workload has the size of its files" }
        return nil
    }

    package var options: CheckpointerOptions {
        var options = CheckpointerOptions()
        options.runName = "bench"
        options.capture = capture.option
        options.compression = compression
        options.arenaBytes = arenaMebibytes << 20
        options.workers = workers
        options.workerNiceness = hasPriority ? niceness : 0
        options.backpressure = backpressure
        options.keepLast = keepLast
        options.deduplicates = deduplicates
        options.mechanisms = mechanisms
        options.tracePath = trace
        // Standard output is for the report.
        options.logger.logLevel = .warning
        return options
    }

    /// All of it, for the report.
    var json: [JSONValue.Member] {
        [
            .init("state", .string(state.description)), .init("scale", .number(scale)), .init("steps", .count(steps)),
            .init("every", .count(every)), .init("warmup", .count(warmup)), .init("compute_seconds", .number(computeSeconds)),
            .init("compute_threads", .count(computeThreads)), .init("codec", .string(compression.description)),
            .init("arena_mib", .count(arenaMebibytes)), .init("workers", .count(workers)),
            .init("niceness", .count(options.workerNiceness)), .init("keep_last", keepLast.map { .count($0) } ?? .null),
            .init("backpressure", .string(backpressure.name)),
            .init("capture", .string(capture.rawValue)), .init("lazy", .bool(mechanisms.isLazy)),
            .init("preallocation", .bool(mechanisms.preallocates)), .init("coalescing", .bool(mechanisms.coalesces)),
            .init("streaming", .bool(mechanisms.streams)), .init("recycling", .bool(mechanisms.recycles)),
            .init("deduplication", .bool(deduplicates)),
            .init("direct", .bool(usesDirectIO)), .init("group_fences", .bool(usesGroupFences)),
            .init("priority", .bool(hasPriority)),
        ]
    }
}

extension CheckpointerOptions.Backpressure {
    /// As the command line has it.
    package var name: String {
        switch self {
        case .block: "block"
        case .skip: "skip"
        case .replacePending: "replace-pending"
        }
    }
}

/// Where the state to save comes from.
package enum StateSource: Sendable, Hashable, CustomStringConvertible {
    case synthetic(SyntheticState)
    /// A JSON file that names raw tensors.
    case workload(path: String)

    /// The name of a synthetic state, else a path.
    package init(_ text: String) { self = SyntheticState(rawValue: text).map { .synthetic($0) } ?? .workload(path: text) }

    package var description: String {
        switch self {
        case .synthetic(let state): state.rawValue
        case .workload(let path): path
        }
    }
}
