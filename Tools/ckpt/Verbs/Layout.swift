import CheckpointStorage

/// The parts of a tensor with the ranks that have saved them, and those that held the same, as
/// `ckpt inspect --layout` shows it.
struct Layout {
    /// A box of elements that one rank has saved.
    struct Part {
        var rank: Int
        var box: ShardDescriptor
        /// The other ranks that held the same elements, ascending.
        var copies: [Int]
    }

    let record: TensorRecord
    /// The boxes, by rank.
    let parts: [Part]

    /// Width and height of a picture, without its margin.
    private static let (width, height) = (56, 12)
    private static let digits = Array(
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

    /// - Parameters:
    ///   - record: the tensor.
    ///   - manifest: the checkpoint, with the parts of all ranks.
    ///   - holders: the ranks that held each region of the tensor.
    init(_ record: TensorRecord, in manifest: Manifest, _ holders: RegionHolders) {
        self.record = record
        parts = record.shards.flatMap { shard -> [Part] in
            // The name of a segment says which rank has written it.
            let rank = manifest.chunks[shard.chunks].first.map { chunk in
                manifest.segments[manifest.blocks[chunk.block].segment].name.rank
            }
            let elements = shard.region.pieces(in: record.shape).map(\.elements.normalized)
            let copies = Set(holders[elements] ?? []).subtracting([rank ?? 0]).sorted()
            return shard.region.boxes(in: record.shape).map {
                Part(rank: rank ?? 0, box: $0, copies: copies)
            }
        }.sorted { ($0.rank, $0.box.offset) < ($1.rank, $1.box.offset) }
    }

    var json: JSONValue {
        .array(
            parts.map { part in
                .object([
                    .init("rank", .count(part.rank)),
                    .init("offset", .array(part.box.offset.map { .count($0) })),
                    .init("extent", .array(part.box.extent.map { .count($0) })),
                    .init("copies", .array(part.copies.map { .count($0) })),
                ])
            })
    }

    // MARK: The picture

    /// The axes along which the tensor is divided, at most two: those with the most boundaries,
    /// first the vertical one.
    private var axes: [Int] {
        let boundaries = record.shape.indices.map { axis in
            Set(parts.map { $0.box.offset[axis] }).count
        }
        let divided = record.shape.indices.filter { boundaries[$0] > 1 }
        return divided.sorted { boundaries[$0] > boundaries[$1] }.prefix(2).sorted()
    }

    /// The picture, and below it the ranks that held the same as others.
    var lines: [String] { picture + copies }

    private static let copiesMax = 8

    /// A line for each rank that has saved what others held, too, with these. If they did not hold
    /// all of it, a line for each part.
    private var copies: [String] {
        var seen: Set<[Int]> = []
        let lines = parts.filter { !$0.copies.isEmpty && seen.insert([$0.rank] + $0.copies).inserted }
            .map { part in
                let isAll = parts.allSatisfy { $0.rank != part.rank || $0.copies == part.copies }
                let ranks = part.copies.count == 1 ? "rank" : "ranks"
                return (isAll ? "what" : "some of what")
                    + " rank \(part.rank) saved is also on \(ranks) \(Self.text(part.copies))"
            }
        return lines.prefix(Self.copiesMax)
            + (lines.count > Self.copiesMax ? ["and \(lines.count - Self.copiesMax) more"] : [])
    }

    /// The lines of the picture: one cell of text for each rank, digits and letters for ranks 0 to
    /// 61, `+` for higher ones.
    private var picture: [String] {
        let axes = axes
        guard !axes.isEmpty, !record.shape.contains(0) else {
            return [parts.first.map { "all elements saved by rank \($0.rank)" } ?? "no elements"]
        }
        // One axis lies across; of two, the second.
        let across = axes.last ?? 0
        let down = axes.count > 1 ? axes[0] : nil
        let columns = min(record.shape[across], Self.width)
        let rows = down.map { min(record.shape[$0], Self.height) } ?? 1
        let margin = String(record.shape[down ?? across]).count
        var lines = [
            String(repeating: " ", count: margin) + " dimension \(across): 0 to"
                + " \(record.shape[across] - 1)"
                + (down.map { " across, dimension \($0) down" } ?? "")
        ]
        for row in 0..<rows {
            var index = record.shape.map { _ in 0 }
            if let down { index[down] = Self.position(row, of: rows, in: record.shape[down]) }
            let label = down.map { String(index[$0]) } ?? ""
            var cells = ""
            for column in 0..<columns {
                index[across] = Self.position(column, of: columns, in: record.shape[across])
                cells.append(symbol(at: index))
            }
            lines.append(String(repeating: " ", count: margin - label.count) + label + " " + cells)
        }
        return lines
    }

    /// Lists ranks, as many as a line has room for.
    private static func text(_ ranks: [Int]) -> String {
        let names = ranks.prefix(6).map(String.init).joined(separator: ", ")
        return names + (ranks.count > 6 ? " and \(ranks.count - 6) more" : "")
    }

    /// First position of a cell.
    private static func position(_ cell: Int, of cells: Int, in extent: Int) -> Int {
        let (product, overflow) = extent.multipliedReportingOverflow(by: cell)
        return overflow ? extent / cells * cell : product / cells
    }

    private func symbol(at index: [Int]) -> Character {
        let part = parts.first { part in
            index.indices.allSatisfy { axis in
                let offset = part.box.offset[axis]
                return index[axis] >= offset && index[axis] - offset < part.box.extent[axis]
            }
        }
        guard let part else { return "?" }
        return part.rank < Self.digits.count ? Self.digits[part.rank] : "+"
    }
}

private func < (a: (Int, [Int]), b: (Int, [Int])) -> Bool {
    a.0 != b.0 ? a.0 < b.0 : a.1.lexicographicallyPrecedes(b.1)
}
