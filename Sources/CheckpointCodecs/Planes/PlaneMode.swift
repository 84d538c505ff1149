internal import CKernels
internal import CheckpointFormat

/// Encoding of one plane.
package enum PlaneMode: UInt8, Sendable, CaseIterable {
    case constant, raw, zstd, top
}
