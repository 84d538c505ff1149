/// All maxima of the foreign formats. Formats/exchange.md repeats them, and a test compares the
/// two. A length from a file is compared with its limit, and with the bytes that remain, before it
/// is used.
package enum ExchangeLimits {
    /// Size in bytes of the JSON header of a safetensors file: the limit of the safetensors
    /// library.
    package static let safetensorsHeaderBytesMax = 100_000_000
    /// Size in bytes of an index of shards.
    package static let indexBytesMax = 64 << 20
    /// Number of values in the JSON of a header or an index; parsed values take far more memory
    /// than their text.
    package static let jsonValuesMax = 4 << 20
    /// Number of files that one import reads.
    package static let filesMax = 65_536
    /// Number of entries in a zip archive.
    package static let zipEntriesMax = 1 << 20
    /// Size in bytes of the central directory of a zip archive.
    package static let zipDirectoryBytesMax = 128 << 20
    /// Ratio of inflated to stored bytes of a zip entry: deflate's own bound (zlib, technical
    /// details).
    package static let deflateRatioMax = 1032
    /// Ratio of the bytes of all tensors to the bytes of their PyTorch file. Tensors may share
    /// bytes. A file counts as at least 1 MiB.
    package static let expansionMax = 1024
    /// Size in bytes of the header of a numpy file.
    package static let numpyHeaderBytesMax = 64 << 10
    /// Size in bytes of a pickle.
    package static let pickleBytesMax = 256 << 20
    /// Number of containers and calls that a pickle creates.
    package static let pickleNodesMax = 8 << 20
    /// Number of values that a pickle creates, recalls from the memo, or copies; it bounds the
    /// contents of the containers.
    package static let pickleValuesMax = 16 << 20
    /// Number of values on a pickle's stack, including marks.
    package static let pickleStackMax = 1 << 20
    /// Number of values in a pickle's memo.
    package static let pickleMemoMax = 8 << 20
    /// Size in bytes of an integer in a pickle.
    package static let pickleIntegerBytesMax = 1024
    /// Nesting depth of containers read from a pickle: two less than the depth of the format's
    /// JSON, which the enclosing object needs.
    package static let pickleDepthMax = 62
    /// Number of numbers, strings and containers that become an object of the checkpoint.
    package static let objectValuesMax = 4 << 20
    /// Number of tensors that pickles create; a pickle may name one tensor many times.
    package static let pickleTensorsMax = 1 << 20
    /// Size in bytes of the text of an object made from foreign values.
    package static let objectBytesMax = 256 << 20
    /// Number of pieces of one tensor in a distributed checkpoint.
    package static let piecesOfTensorMax = 4096

    /// The limits by name, as in the table of Formats/exchange.md.
    package static let table: [(name: String, value: Int)] = [
        ("safetensorsHeaderBytesMax", safetensorsHeaderBytesMax), ("indexBytesMax", indexBytesMax),
        ("jsonValuesMax", jsonValuesMax), ("filesMax", filesMax), ("zipEntriesMax", zipEntriesMax),
        ("zipDirectoryBytesMax", zipDirectoryBytesMax), ("deflateRatioMax", deflateRatioMax), ("expansionMax", expansionMax),
        ("numpyHeaderBytesMax", numpyHeaderBytesMax), ("pickleBytesMax", pickleBytesMax), ("pickleNodesMax", pickleNodesMax),
        ("pickleValuesMax", pickleValuesMax), ("pickleStackMax", pickleStackMax), ("pickleMemoMax", pickleMemoMax),
        ("pickleIntegerBytesMax", pickleIntegerBytesMax), ("pickleDepthMax", pickleDepthMax), ("objectValuesMax", objectValuesMax),
        ("pickleTensorsMax", pickleTensorsMax), ("objectBytesMax", objectBytesMax), ("piecesOfTensorMax", piecesOfTensorMax),
    ]
}
