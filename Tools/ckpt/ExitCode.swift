import Checkpointing

/// How `ckpt` ends: the whole list, which Formats/cli-json.md repeats and a test compares.
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
        case .fine: "fine; checkpoints are whole, or equal"
        case .difference: "a difference or damage was found, in a store or in a file to import"
        case .usage: "the command line was not understood"
        case .notFound: "there is no such store, checkpoint or tensor"
        case .busy: "another process is writing to the store"
        case .inputOutput: "reading or writing failed: an error of the disk, no space, no permission"
        case .unsupported: "the store needs a newer version of ckpt, or a file to import is of a kind that is not taken"
        case .other: "anything else: a directory that is in use, state that does not fit, no memory"
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
