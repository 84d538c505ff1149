import Checkpointing

/// The exit codes of `ckpt`: the complete list, which Formats/cli-json.md repeats and a test compares.
enum ExitCode: Int32, CaseIterable {
    case fine = 0
    case difference = 1
    case usage = 2
    case notFound = 3
    case busy = 4
    case inputOutput = 5
    case unsupported = 6
    case other = 7

    var meaning: String {
        switch self {
        case .fine: "success; checkpoints are intact, or equal"
        case .difference: "differences or damage found, in a store or in a file to import"
        case .usage: "wrong usage"
        case .notFound: "no such store, checkpoint or tensor"
        case .busy: "another process is writing to the store"
        case .inputOutput: "reading or writing failed: disk error, no space, no permission"
        case .unsupported: "the store needs a newer ckpt, or this file type or file system is not supported"
        case .other: "any other error, such as an output that exists, or out of memory"
        }
    }

    init(_ code: CheckpointError.Code) {
        switch code {
        case .damaged: self = .difference
        case .notFound, .notAStore: self = .notFound
        case .busy: self = .busy
        case .io, .noSpace, .readOnly: self = .inputOutput
        case .unsupported: self = .unsupported
        case .exists, .mismatch, .misuse, .cancelled, .skipped, .timedOut, .outOfMemory, .provider, .device: self = .other
        }
    }

    /// For `--help`.
    static var table: String { allCases.map { "  \($0.rawValue)  \($0.meaning)" }.joined(separator: "\n") }
}
