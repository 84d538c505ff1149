internal import Glibc
package import SystemPackage

/// An exclusive flock(2) on an existing file or directory, held until the claim is released. The
/// kernel releases the claims of a process that ends.
package final class FileClaim: Sendable {
    private let descriptor: Int32

    fileprivate init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { Glibc.close(descriptor) }
}

extension POSIXFileSystem {
    /// Claims a file or directory.
    ///
    /// - Parameters:
    ///   - path: Its name; a link is not followed.
    ///   - seconds: Maximum time to wait for another claim to end.
    /// - Returns: The claim; nil if another process holds one, if the name does not exist, or if
    ///   flock(2) does not work.
    package func claim(_ path: FilePath, within seconds: Double = 0) -> FileClaim? {
        // After any error the caller works without a claim.
        let opened = try? SystemCall.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard let descriptor = opened else { return nil }
        let claim = FileClaim(descriptor: descriptor)
        let end = ContinuousClock.now + .seconds(seconds)
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK, ContinuousClock.now < end else { return nil }
            usleep(2000)
        }
        return claim
    }
}
