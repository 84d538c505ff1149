package import CheckpointCodecs

/// The way in which an object store shows that it has received the bytes that were sent, best
/// first.
public enum TransferCheck: String, Sendable, CaseIterable {
    /// It compares them with their XXH3-128, and repeats that in its answer.
    case xxh128
    /// It compares them with their CRC-64/NVME, and repeats that in its answer.
    case crc64nvme
    /// It compares them with their CRC-32C, and repeats that in its answer.
    case crc32c
    /// It refuses them if their MD5 is not the one that was sent.
    case md5
    /// It does not compare them: they are read back.
    case readBack = "read_back"

    /// The name of the algorithm in the protocol; nil if the answer does not repeat the digest.
    var algorithm: String? {
        switch self {
        case .xxh128: "XXHASH128"
        case .crc64nvme: "CRC64NVME"
        case .crc32c: "CRC32C"
        case .md5, .readBack: nil
        }
    }

    /// The check whose value for a whole follows from those of its parts; nil if this is a hash.
    package var cyclic: CyclicCheck? {
        switch self {
        case .crc64nvme: .crc64nvme
        case .crc32c: .crc32c
        case .xxh128, .md5, .readBack: nil
        }
    }
}
