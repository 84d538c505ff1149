internal import CheckpointFormat
package import Checkpointing
internal import Logging

/// Workload and engine options of a benchmark: the checked command line of `ckpt bench`.
package struct Settings: Sendable {
    /// Protection of the state against changes while a save is in flight.
    package enum Capture: String, CaseIterable, Sendable {
        /// The trainer waits until the tensors that it changes have been captured.
        case fenced
        /// As `fenced`; in addition, changes without a permit are detected.
        case checked
        /// The trainer does not wait for captures: page protection holds writes that come too
        /// early.
        case guarded

        fileprivate var option: CheckpointerOptions.Capture {
            switch self {
            case .fenced: .fenced
            case .checked: .checked
            case .guarded: .guarded
            }
        }
    }

    /// Directory of the store. It is created, and removed at the end unless `keepsStore`.
    package var store = ""
    package var keepsStore = false
    /// Number of processes that save together.
    package var ranks = 1
    /// The rank that this process is; nil if it starts the ranks, or is alone.
    package var place: RankPlace?
    package var state = StateSource.synthetic(.gpt2)
    /// Size of a synthetic state relative to its full size.
    package var scale = 1.0
    /// Number of measured steps.
    package var steps = 20
    /// Interval of saves in steps.
    package var every = 1
    /// Number of steps before each measured phase, without saves.
    package var warmup = 2
    /// Duration of the forward and backward pass without checkpoints, in seconds.
    package var computeSeconds = 1.0
    package var computeThreads = 2
    package var capture = Capture.fenced
    package var usesDirectIO = true
    package var usesGroupFences = true
    package var hasPriority = true
    /// File for a trace of the measured phase (Formats/trace.md).
    package var trace: String?
    /// True if the reference writer is measured too: into new files, and over an existing file.
    package var measuresWriter = false
    package var measuresRecycledWriter = false
    package var compression = Compression.none
    package var arenaMebibytes: Int?
    package var workers = 2
    package var niceness = 10
    package var keepLast: Int? = 2
    package var backpressure = CheckpointerOptions.Backpressure.block
    package var deduplicates = true
    package var mechanisms = Mechanisms()
    /// A mirror that is kept up to date meanwhile; nil for none.
    package var mirror: (any CheckpointMirror)?

    package init() {}

    /// The first invalid setting as an error message; nil if all are valid.
    package var mistake: String? {
        let bounds: [(name: String, value: Int, range: ClosedRange<Int>)] = [
            ("--steps", steps, 1...1_000_000), ("--every", every, 1...max(steps, 1)), ("--warmup", warmup, 0...1000),
            ("--compute-threads", computeThreads, 1...256), ("--arena", arenaMebibytes ?? 1, 1...1 << 20),
            ("--workers", workers, 1...64),
            ("--ranks", ranks, 1...256), ("--rank", place?.rank ?? 0, 0...max(ranks - 1, 0)),
            ("--niceness", niceness, 0...19), ("--keep-last", keepLast ?? 1, 1...1_000_000),
        ]
        for bound in bounds where !bound.range.contains(bound.value) {
            return "\(bound.name) must be \(bound.range.lowerBound) to \(bound.range.upperBound) (got \(bound.value))"
        }
        if !(0...3600).contains(computeSeconds) { return "--compute-seconds must be 0 to 3600 (got \(computeSeconds))" }
        if ranks > 1, case .workload = state { return "--ranks works only with synthetic states" }
        if ranks > 1, measuresWriter || measuresRecycledWriter {
            return "--baseline and --baseline-recycled work only with one rank"
        }
        if ranks > 1, mirror != nil { return "--mirror works only with one rank" }
        if ranks > 1, backpressure != .block { return "--backpressure must be block with several ranks" }
        if !(scale > 0 && scale <= 1) { return "--scale must be more than 0 and at most 1 (got \(scale))" }
        if scale != 1, case .workload = state {
            return "--scale works only with synthetic states: a workload has the size of its files"
        }
        return nil
    }

    /// The ranks that save with this process; nil if it saves alone.
    var group: RankGroup? {
        place.map { RankGroup(rank: $0.rank, worldSize: ranks, launch: $0.launch) }
    }

    package var options: CheckpointerOptions {
        var options = CheckpointerOptions()
        options.run = "bench"
        options.capture = capture.option
        options.compression = compression
        options.arenaBytes = arenaMebibytes.map { $0 << 20 }
        options.workers = workers
        options.workerNiceness = hasPriority ? niceness : 0
        options.backpressure = backpressure
        options.keepLast = keepLast
        options.deduplicates = deduplicates
        options.mechanisms = mechanisms
        options.tracePath = trace
        // What is not sent by then is not measured.
        options.mirrorDeadline = .zero
        // Standard output is reserved for the report.
        options.logger.logLevel = .error
        return options
    }

    /// All settings, for the report.
    var json: [JSONValue.Member] {
        [
            .init("state", .string(state.description)), .init("scale", .number(scale)), .init("steps", .count(steps)),
            .init("ranks", .count(ranks)),
            .init("every", .count(every)), .init("warmup", .count(warmup)), .init("compute_seconds", .number(computeSeconds)),
            .init("compute_threads", .count(computeThreads)), .init("codec", .string(compression.description)),
            .init("arena_mib", arenaMebibytes.map { .count($0) } ?? .null), .init("workers", .count(workers)),
            .init("niceness", .count(options.workerNiceness)), .init("keep_last", keepLast.map { .count($0) } ?? .null),
            .init("backpressure", .string(backpressure.name)),
            .init("capture", .string(capture.rawValue)), .init("lazy", .bool(mechanisms.isLazy)),
            .init("preallocation", .bool(mechanisms.preallocates)), .init("coalescing", .bool(mechanisms.coalesces)),
            .init("streaming", .bool(mechanisms.streams)), .init("recycling", .bool(mechanisms.recycles)),
            .init("deduplication", .bool(deduplicates)),
            .init("direct", .bool(usesDirectIO)), .init("group_fences", .bool(usesGroupFences)),
            .init("priority", .bool(hasPriority)), .init("mirror", .bool(mirror != nil)),
        ]
    }
}

extension CheckpointerOptions.Backpressure {
    /// The name used on the command line.
    package var name: String {
        switch self {
        case .block: "block"
        case .skip: "skip"
        case .replacePending: "replace-pending"
        }
    }
}

/// Source of the state to save.
package enum StateSource: Sendable, Hashable, CustomStringConvertible {
    case synthetic(SyntheticState)
    /// A JSON file that names raw tensors.
    case workload(path: String)

    /// Parses the command line's value.
    ///
    /// - Parameter text: the name of a synthetic state, or a path.
    package init(_ text: String) { self = SyntheticState(rawValue: text).map { .synthetic($0) } ?? .workload(path: text) }

    package var description: String {
        switch self {
        case .synthetic(let state): state.rawValue
        case .workload(let path): path
        }
    }
}
