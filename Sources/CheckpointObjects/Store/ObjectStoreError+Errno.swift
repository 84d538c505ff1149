internal import Glibc
package import SystemPackage

extension ObjectStoreError {
    /// The error number of a file system that comes nearest.
    package var errno: Errno {
        switch kind {
        case .notFound: .noSuchFileOrDirectory
        case .exists: .fileExists
        case .denied: .permissionDenied
        case .noAnswer: .timedOut
        case .untrusted: Errno(rawValue: EPROTO)
        case .unsupported: .notSupported
        // Not EIO, by which a disk says that the bytes are lost.
        case .failed: Errno(rawValue: EREMOTEIO)
        }
    }
}
