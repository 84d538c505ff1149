internal import CheckpointFormat

/// The formats that can be read.
package enum ForeignFormat: String, Sendable, CaseIterable {
    case safetensors, npy, npz, pt, dcp, raw
}
