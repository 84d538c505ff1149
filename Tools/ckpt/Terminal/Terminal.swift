import CheckpointIO
import Foundation

/// The terminal that the program writes to.
enum Terminal {
    /// Whether standard error is a terminal.
    static let showsErrors = isatty(STDERR_FILENO) == 1
    /// Whether standard output is a terminal.
    static let showsOutput = isatty(STDOUT_FILENO) == 1

    /// Number of characters in a line of standard output; nil if it is no terminal.
    static var width: Int? { TerminalSize.columns(of: STDOUT_FILENO) }
}
