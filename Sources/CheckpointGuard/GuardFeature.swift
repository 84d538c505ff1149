internal import CGuard
internal import Glibc

/// A kernel feature that guards need.
package enum GuardFeature: CaseIterable, Sendable {
    case userfaultfd, writeProtection, sharedMemory, unpopulatedPages, asynchronousProtection, pageScan

    /// The feature's bit in the mask of UFFDIO_API; 0 if that call does not report it.
    var mask: UInt64 {
        switch self {
        case .userfaultfd, .pageScan: 0
        case .writeProtection: UInt64(CG_FEATURE_WRITE_PROTECT)
        case .sharedMemory: UInt64(CG_FEATURE_SHARED_MEMORY)
        case .unpopulatedPages: UInt64(CG_FEATURE_UNPOPULATED)
        case .asynchronousProtection: UInt64(CG_FEATURE_ASYNCHRONOUS)
        }
    }

    var name: String {
        switch self {
        case .userfaultfd: "userfaultfd"
        case .writeProtection: "write protection"
        case .sharedMemory: "write protection of shared memory"
        case .unpopulatedPages: "write protection of pages never touched"
        case .asynchronousProtection: "asynchronous write protection"
        case .pageScan: "PAGEMAP_SCAN"
        }
    }

    /// The first Linux version with the feature on x86-64: ioctl_userfaultfd(2),
    /// PAGEMAP_SCAN(2const).
    var kernel: String {
        switch self {
        case .userfaultfd: "4.3"
        case .writeProtection: "5.7"
        case .sharedMemory: "5.19"
        case .unpopulatedPages: "6.4"
        case .asynchronousProtection, .pageScan: "6.7"
        }
    }

    /// Returns the features that the kernel lacks.
    ///
    /// - Parameters:
    ///   - wanted: the features to look for.
    ///   - mask: mask of UFFDIO_API that the kernel offers.
    /// - Returns: those of `wanted` whose bit is not in `mask`.
    static func missing(_ wanted: [GuardFeature], offered mask: UInt64) -> [GuardFeature] {
        wanted.filter { $0.mask & mask != $0.mask }
    }
}
