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
}
