internal import CheckpointFormat
public import CheckpointStorage

/// The ancestry of checkpoints as a text graph of lines and columns. Pure.
///
/// A checkpoint's predecessor is the one before it in its run. The predecessor of a run's first
/// checkpoint is the one that the run was resumed from, if the store holds it. As in `git log
/// --graph`, every predecessor is drawn below its successors.
public struct Lineage: Sendable {
    /// One line of the graph.
    public struct Line: Sendable, Equatable {
        /// Columns of one character and a space each: `*` for the checkpoint, `|` for a line that
        /// passes, `/` for one that ends in the leftmost column.
        public var graph: String
        /// Index of the checkpoint on this line; nil for a line between checkpoints.
        public var checkpoint: Int?
    }

    /// Predecessor of each checkpoint, as an index; nil if it has none.
    public let predecessors: [Int?]
    /// The graph, from top to bottom.
    public let lines: [Line]

    /// Computes the graph.
    ///
    /// - Parameter checkpoints: the checkpoints, newest first.
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

    /// Returns the predecessors. In the order of names, newest first, a predecessor always follows
    /// its successors. A parent that does not is ignored: a damaged manifest may name any parent.
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
        /// Index of the checkpoint that each column leads down to; nil: the column is free.
        var columns: [Int?] = []
        /// Column of a checkpoint without a predecessor. The line below it stays empty in this
        /// column: a checkpoint drawn there would look like its predecessor.
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
