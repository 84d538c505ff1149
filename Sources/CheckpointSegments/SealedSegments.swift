package import CheckpointFormat

/// The segments of one writer, complete and durable under their final names. Only
/// `SegmentWriter.seal` makes one, so a function that takes it cannot come before the syncs.
///
/// `discard` takes the lock of the writer.
package struct SealedSegments: Sendable {
    /// References to the segments, by number.
    package let references: [SegmentReference]
    private let writer: SegmentWriter

    init(_ references: [SegmentReference], of writer: SegmentWriter) {
        self.references = references
        self.writer = writer
    }

    /// Returns true if each of `segments` that has the writer's name is one of these.
    package func cover(_ segments: [SegmentReference]) -> Bool {
        segments.allSatisfy { !writer.names($0) || references.contains($0) }
    }

    /// Removes the files again. No manifest may name them.
    package func discard() { writer.abandon() }
}
