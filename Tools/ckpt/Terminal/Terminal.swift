import CheckpointStorage
import Foundation

/// The terminal that the program writes to.
enum Terminal {
    /// True if standard error is a terminal.
    static let showsErrors = isatty(STDERR_FILENO) == 1
    /// True if standard output is a terminal.
    static let showsOutput = isatty(STDOUT_FILENO) == 1

    /// Number of characters in a line of standard output; nil if it is not a terminal.
    static var width: Int? { CommandProcess.lineLength }
}
