internal import CheckpointCodecs

/// The sizes and times of encoding and writing one save. A plain value; bytes and seconds.
struct EncodingObservation {
    var level: Compression
    /// Bytes of the encoded blocks, before and after.
    var rawBytes = 0
    var storedBytes = 0
    /// Summed over the threads that encoded.
    var encodeSeconds = 0.0
    var writtenBytes = 0
    var writeSeconds = 0.0

    /// Minimum ratio of a level: less is not worth the time of every restore.
    static let ratioMin = 1.05
    /// Bytes after which a level is known to be useless.
    static let trialBytes = 64 << 20

    /// True if enough was encoded to know that the level saves too little.
    var isUseless: Bool {
        rawBytes >= Self.trialBytes && Double(rawBytes) < Self.ratioMin * Double(storedBytes)
    }
}
