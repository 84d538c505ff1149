internal import Glibc

/// The size of a terminal (ioctl_tty(2)).
package enum TerminalSize {
    /// Returns the number of characters in a line.
    ///
    /// - Parameter descriptor: file descriptor of the terminal.
    /// - Returns: nil if it is not a terminal, or if its size is unknown.
    package static func columns(of descriptor: Int32) -> Int? {
        var size = winsize()
        guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return nil
        }
        return Int(size.ws_col)
    }
}
