/// Every maximum of the foreign formats, in one place (Formats/exchange.md repeats it, and a test compares). A length from a file
/// is compared with its limit, and with the bytes that remain, before it is used.
package enum ExchangeLimits {
    /// JSON header of a safetensors file, in bytes: the library's own limit.
    package static let safetensorsHeaderBytesMax = 100_000_000
    /// An index of shards, in bytes.
    package static let indexBytesMax = 64 << 20
    /// Values in the JSON of a header or an index, which take far more memory than text.
    package static let jsonValuesMax = 4 << 20
    /// Files that one import reads.
    package static let filesMax = 65_536
    /// Entries of a zip archive.
    package static let zipEntriesMax = 1 << 20
    /// Central directory of a zip archive, in bytes.
    package static let zipDirectoryBytesMax = 128 << 20
    /// How many times larger than its stored bytes a deflated entry can be: deflate's own bound (zlib, technical details).
    package static let deflateRatioMax = 1032
    /// How many times larger than a PyTorch file its tensors can be, which may share their bytes; a file counts as 1 MiB at least.
    package static let expansionMax = 1024
    /// Header of a numpy file, in bytes.
    package static let numpyHeaderBytesMax = 64 << 10
    /// A pickle, in bytes.
    package static let pickleBytesMax = 256 << 20
    /// Containers and calls that a pickle makes.
    package static let pickleNodesMax = 8 << 20
    /// Values that a pickle makes, names again, or copies: what its containers can hold.
    package static let pickleValuesMax = 16 << 20
    /// Values on a pickle's stack, marks included.
    package static let pickleStackMax = 1 << 20
    /// Values that a pickle remembers.
    package static let pickleMemoMax = 8 << 20
    /// An integer in a pickle, in bytes.
    package static let pickleIntegerBytesMax = 1024
    /// How deep containers nest in what is read from a pickle: two less than the format's JSON, for the object that it becomes.
    package static let pickleDepthMax = 62
    /// Numbers, strings and containers that become an object of the checkpoint.
    package static let objectValuesMax = 4 << 20
    /// Tensors that pickles make, which may name one many times.
    package static let pickleTensorsMax = 1 << 20
    /// Text of an object made from foreign values, in bytes.
    package static let objectBytesMax = 256 << 20
    /// Pieces of one tensor of a distributed checkpoint.
    package static let piecesOfTensorMax = 4096

    /// The table of Formats/exchange.md.
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
