/// Format of a tensor's file in a raw export.
public enum RawFormat: String, Sendable, CaseIterable {
    /// Little-endian, row-major elements and nothing else; `index.json` has type and shape.
    case raw
    /// A NumPy file.
    case npy

    var suffix: String { self == .raw ? ".bin" : ".npy" }
}
