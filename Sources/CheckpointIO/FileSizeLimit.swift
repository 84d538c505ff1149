internal import Glibc

/// The size beyond which the process may not write to a file (getrlimit(2), RLIMIT_FSIZE).
enum FileSizeLimit {
    /// Returns true if a write would go beyond the limit. The kernel would answer it with SIGXFSZ,
    /// which ends the process; this library must not end its host.
    ///
    /// - Parameter end: offset of the first byte after the write.
    static func forbids(writingTo end: Int) -> Bool {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else {
            return false
        }
        return UInt64(max(end, 0)) > UInt64(limit.rlim_cur)
    }
}
