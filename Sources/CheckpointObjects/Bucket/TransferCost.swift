internal import CheckpointFormat

/// Maximum number of requests that moving checkpoints to or from a bucket takes, for those who pay
/// for each.
///
/// A segment is sent in parts of 16 MiB: so N GiB take N x 64 requests, and a few for each segment
/// and checkpoint.
public struct TransferCost: Sendable, Equatable {
    /// Number of requests, if none has to be repeated.
    public let requests: Int

    /// Requests for the object of a segment besides its parts: begin, end, and ask for its size.
    static let ofSegment = 4
    /// Requests for a checkpoint besides its segments.
    static let ofCheckpoint = 3
    /// Requests for opening a store for writing: the trial of the bucket, locks, and listings.
    static let ofOpening = 120
    /// Requests for a tag or a pin.
    static let ofMark = 4

    /// Computes the cost of segments that exist.
    ///
    /// - Parameters:
    ///   - segments: number of segments.
    ///   - bytes: their size in bytes.
    ///   - checkpoints: number of checkpoints.
    ///   - marks: number of tags and pins.
    public init(segments: Int, bytes: Int, checkpoints: Int, marks: Int = 0) {
        let parts = bytes / S3ObjectStore.Upload().partBytes
        requests =
            parts + segments * Self.ofSegment + checkpoints * Self.ofCheckpoint
            + marks * Self.ofMark + Self.ofOpening
    }

    /// Computes the cost of checkpoints that are copied, each to segments of its own.
    ///
    /// - Parameters:
    ///   - bytes: bytes that are written for each checkpoint.
    ///   - marks: number of tags and pins.
    public init(copying bytes: [Int], marks: Int = 0) {
        let segments = bytes.map { $0 / Limits.segmentBytesDefault + 1 }
        self.init(
            segments: segments.reduce(0, +), bytes: bytes.reduce(0, +), checkpoints: bytes.count,
            marks: marks)
    }

    /// Computes the cost of reading checkpoints from a bucket.
    ///
    /// - Parameters:
    ///   - reads: number of reads of blocks.
    ///   - checkpoints: number of checkpoints.
    ///   - marks: number of tags and pins.
    public init(reads: Int, checkpoints: Int, marks: Int) {
        requests =
            reads + checkpoints * Self.ofCheckpoint + marks * Self.ofMark + Self.ofOpening
    }
}
