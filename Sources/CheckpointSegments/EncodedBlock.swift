internal import CheckpointCodecs
package import CheckpointFormat

/// The result of encoding a block.
package struct EncodedBlock: Equatable, Sendable {
    package var codec: CodecIdentifier
    package var rawBytes: Int
    package var storedBytes: Int
    package var storedHash: UInt64

    package init(codec: CodecIdentifier, rawBytes: Int, storedBytes: Int, storedHash: UInt64) {
        (self.codec, self.rawBytes) = (codec, rawBytes)
        (self.storedBytes, self.storedHash) = (storedBytes, storedHash)
    }

    /// Describes a block that is stored somewhere already.
    package init(_ block: SegmentBlock) {
        self.init(
            codec: block.codec, rawBytes: block.rawBytes, storedBytes: block.storedBytes,
            storedHash: block.storedHash)
    }
}
