internal import CGuard
internal import Glibc

/// The reason why memory cannot be guarded: the failure, the pages concerned, and the remedy.
package enum GuardError: Error, Equatable, CustomStringConvertible {
    /// The kernel is too old, or was built without these features. Thrown when a guard is created.
    case missing([GuardFeature])
    /// The process may not open a userfaultfd. Thrown when a guard is created.
    case notPermitted(errno: Int32)
    /// A system call failed: its name in the manual, the pages concerned, and its errno.
    case failed(String, PageRange?, errno: Int32)
    /// The guard has been closed.
    case closed

    /// Returns the error for a failure to open a userfaultfd.
    ///
    /// - Parameters:
    ///   - systemCall: errno of userfaultfd(2), which is tried first.
    ///   - device: errno of /dev/userfaultfd, which is tried second.
    /// - Returns: the error to throw.
    static func opening(systemCall: Int32, device: Int32) -> GuardError {
        switch (systemCall, device) {
        case (ENOSYS, ENOENT): .missing([.userfaultfd])
        case (EPERM, _), (EACCES, _), (ENOSYS, EPERM), (ENOSYS, EACCES): .notPermitted(errno: systemCall)
        default: .failed("userfaultfd(2)", nil, errno: systemCall)
        }
    }

    package var description: String {
        switch self {
        case .missing(let features): Self.describe(features)
        case .notPermitted(let code):
            "userfaultfd is not permitted (\(Self.text(code))): give the process CAP_SYS_PTRACE or access to /dev/userfaultfd, or set"
                + " vm.unprivileged_userfaultfd=1; in a container its seccomp profile must allow userfaultfd too"
        case .failed(let call, let range, let code):
            "\(call)\(range.map { " of pages \($0)" } ?? "") failed: \(Self.text(code))\(Self.advice(call, code))"
        case .closed: "the memory guard is closed: create a new one"
        }
    }

    private static func describe(_ features: [GuardFeature]) -> String {
        let names = features.map { "\($0.name) (Linux \($0.kernel))" }.joined(separator: ", ")
        return "the kernel lacks \(names): use a newer one, built with CONFIG_USERFAULTFD, on x86-64 or arm64"
    }

    private static func advice(_ call: String, _ code: Int32) -> String {
        switch (call, code) {
        case ("UFFDIO_REGISTER", EBUSY): "; another userfaultfd watches this memory, and a page can have only one"
        case ("UFFDIO_REGISTER", EINVAL): "; the memory is not mapped, or maps a file: only anonymous and shared memory can be guarded"
        case ("UFFDIO_REGISTER", EPERM): "; the memory maps a file that is not writable"
        case ("UFFDIO_REGISTER", ENOMEM): "; out of memory, or the process has too many mappings: raise vm.max_map_count"
        case ("UFFDIO_WRITEPROTECT", ENOENT):
            "; the memory is not registered, or was remapped after that: register it again"
        case ("userfaultfd(2)", EMFILE), ("eventfd(2)", EMFILE):
            "; raise the limit on open files (ulimit -n)"
        default: ""
        }
    }

    private static func text(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
}
