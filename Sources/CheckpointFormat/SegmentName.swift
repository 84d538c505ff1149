/// File name of a segment: `ATTEMPT-RANK-NUMBER.segment`, with 32 hexadecimal, 5 and 5 decimal
/// digits (Formats/store-layout.md, Names).
package struct SegmentName: Hashable, Sendable, CustomStringConvertible {
    package var attempt: CheckpointID
    package var rank: Int
    package var number: Int

    /// Creates the name of a segment.
    ///
    /// - Parameters:
    ///   - attempt: The attempt that wrote the segment.
    ///   - rank: The rank that wrote it.
    ///   - number: Number of the segment within the attempt and rank, from 0.
    package init(attempt: CheckpointID, rank: Int, number: Int) {
        self.attempt = attempt
        self.rank = rank
        self.number = number
    }

    /// Parses a file name; nil if `text` is not a segment's name.
    package init?(_ text: String) {
        guard text.utf8.count == 52, text.hasSuffix(".segment") else { return nil }
        let fields = text.dropLast(8).split(separator: "-", omittingEmptySubsequences: false)
        guard fields.count == 3, let attempt = CheckpointID(fields[0]),
            let rank = Decimal.value(of: fields[1], digits: 5), let number = Decimal.value(of: fields[2], digits: 5)
        else { return nil }
        self.init(attempt: attempt, rank: rank, number: number)
    }

    package var description: String {
        "\(attempt)-\(Decimal.string(of: rank, digits: 5))-\(Decimal.string(of: number, digits: 5)).segment"
    }
}
