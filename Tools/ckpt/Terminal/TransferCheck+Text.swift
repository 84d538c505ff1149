internal import CheckpointObjects

extension TransferCheck {
    /// How the object store shows what it has received, in words.
    var text: String {
        switch self {
        case .xxh128: "XXH3-128, compared by the object store"
        case .crc64nvme: "CRC-64/NVME, compared by the object store"
        case .crc32c: "CRC-32C, compared by the object store"
        case .md5: "MD5, compared by the object store"
        case .readBack: "not compared by the object store, so uploads are read back"
        }
    }
}
