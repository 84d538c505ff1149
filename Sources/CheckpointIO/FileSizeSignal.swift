internal import Glibc

/// The signal that the kernel sends with a write beyond the limit on the size of files.
package enum FileSizeSignal {
    /// Makes such a write an error, EFBIG, for all of the process (setrlimit(2)). For programs; a
    /// library leaves the signals of its host alone.
    package static func ignore() { _ = signal(SIGXFSZ, SIG_IGN) }
}
