public import CheckpointStorage
internal import CheckpointFormat

/// Checkpoints and what each came from, as a graph of lines and columns: pure.
///
/// A checkpoint's predecessor is the one before it in its run; the first of a run comes from the checkpoint that the run was resumed from,
/// if the store holds it. As in `git log --graph`, every predecessor stands below what came from it.
public struct Lineage: Sendable {
    /// One line of the picture.
    public struct Line: Sendable, Equatable {
        /// Columns, one character and a space each: `*` the checkpoint, `|` a line that passes, `/` one that ends in the leftmost.
        public var graph: String
        /// Index of the checkpoint that stands on this line; nil between checkpoints.
        public var checkpoint: Int?
    }

    /// The predecessor of each checkpoint, as an index.
    public let predecessors: [Int?]
    /// From above to below.
    public let lines: [Line]

    /// - Parameter checkpoints: newest first.
    public init(_ checkpoints: [CheckpointSummary]) {
        self.init(checkpoints.map { Node(id: $0.id, run: $0.run, step: $0.step, parent: $0.parent) })
    }

    struct Node: Equatable {
        var id: CheckpointID
        var run: RunID
        var step: Int
        var parent: CheckpointID?
    }

    init(_ nodes: [Node]) {
        predecessors = Self.predecessors(nodes)
        lines = Self.lines(predecessors)
    }

    /// In the order of names, newest first, a predecessor always follows; a parent that would not is none: a manifest can say anything.
    private static func predecessors(_ nodes: [Node]) -> [Int?] {
        let indexOfID = Dictionary(nodes.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        return nodes.indices.map { index in
            let node = nodes[index]
            if index + 1 < nodes.count, nodes[index + 1].run == node.run { return index + 1 }
            return node.parent.flatMap { indexOfID[$0] }.flatMap { $0 > index ? $0 : nil }
        }
    }

    private static func lines(_ predecessors: [Int?]) -> [Line] {
        var lines: [Line] = []
        /// What each column leads down to; nil: the column is free.
        var columns: [Int?] = []
        /// The column of a checkpoint that came from nothing: what stands right below it would seem to be what it came from.
        var ended: Int?
        for index in predecessors.indices {
            let arriving = columns.indices.filter { columns[$0] == index }
            let own = arriving.first ?? (0...).first { $0 != ended && ($0 >= columns.count || columns[$0] == nil) } ?? 0
            if arriving.count > 1 {
                lines.append(Line(graph: picture(columns) { arriving.dropFirst().contains($0) ? "/" : "|" }, checkpoint: nil))
                for column in arriving.dropFirst() { columns[column] = nil }
            }
            columns += [Int?](repeating: nil, count: max(own + 1 - columns.count, 0))
            columns[own] = index
            lines.append(Line(graph: picture(columns) { $0 == own ? "*" : "|" }, checkpoint: index))
            columns[own] = predecessors[index]
            ended = predecessors[index] == nil ? own : nil
        }
        return lines
    }

    private static func picture(_ columns: [Int?], _ mark: (Int) -> String) -> String {
        let used = columns.prefix((columns.lastIndex { $0 != nil } ?? -1) + 1)
        return used.indices.map { used[$0] == nil ? " " : mark($0) }.joined(separator: " ")
    }
}
