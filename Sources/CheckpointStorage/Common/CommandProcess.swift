internal import CheckpointIO
internal import Foundation

/// The process of a program whose only work is with stores, such as `ckpt`.
///
/// Not for a training loop, whose process is not the library's to change.
public enum CommandProcess {
    /// Raises the number of files that the process may have open to what the system allows: a
    /// checkpoint may have more segments, and an import more shards, than the 1024 that are usual.
    /// Makes a write beyond the limit on the size of files an error, instead of the end of the
    /// process (setrlimit(2)).
    ///
    /// Call it first, while the process has one thread.
    public static func prepare() {
        DescriptorLimit.raise()
        FileSizeSignal.ignore()
    }

    /// Ends the process as a signal does that nothing handles.
    ///
    /// - Parameter number: the signal, such as SIGINT.
    public static func end(bySignal number: Int32) -> Never {
        _ = signal(number, SIG_DFL)
        // Threads of Dispatch block signals; another thread would get it after `_exit`.
        TerminationSignal.unblock(number)
        kill(getpid(), number)
        // Where the parent process has the signal blocked: what a shell would report.
        _exit(128 + number)
    }

    /// Number of characters in a line of standard output; nil if it is not a terminal.
    public static var lineLength: Int? { TerminalSize.columns(of: STDOUT_FILENO) }
}
