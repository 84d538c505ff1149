internal import Glibc

/// The maximum number of files that the process may have open.
package enum DescriptorLimit {
    /// Raises the soft limit to the hard limit (getrlimit(2)). If the system refuses, the limit is
    /// unchanged.
    package static func raise() {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
