import CheckpointCatalog
import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
@testable import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Foundation
import Testing

@Suite("Lineage", .timeLimit(.minutes(20)))
struct LineageTests {
    private typealias Node = Lineage.Node

    private func id(_ number: Int) -> CheckpointID { CheckpointID(rawValue: UInt128(number + 1)) }

    /// Runs that begin anywhere: at nothing, at any earlier checkpoint, or at one that is not here.
    private func random(_ generator: inout SeededGenerator) -> [Node] {
        var nodes: [Node] = []
        for run in 1...Int.random(in: 1...6, using: &generator) {
            var parent: CheckpointID?
            if Bool.random(using: &generator) { parent = nodes.randomElement(using: &generator)?.id }
            if Int.random(in: 0..<8, using: &generator) == 0 { parent = id(1000) }
            for step in 0..<Int.random(in: 1...5, using: &generator) {
                nodes.append(Node(id: id(nodes.count), run: RunID(rawValue: UInt128(run) << 80), step: step, parent: parent))
            }
        }
        return nodes.reversed()
    }

    /// Follows the lines of a picture as an eye does.
    private func edges(in lines: [Lineage.Line]) throws -> [Int: Int] {
        var edges: [Int: Int] = [:]
        var columns: [Int: [Int]] = [:]
        for (number, line) in lines.enumerated() {
            let marks = Array(line.graph).enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
            columns = columns.filter { $0.key < marks.count && marks[$0.key] != " " }
            if let checkpoint = line.checkpoint {
                let column = try #require(marks.firstIndex(of: "*"))
                for child in columns[column] ?? [] { edges[child] = checkpoint }
                columns[column] = [checkpoint]
            } else {
                let target = try #require(Array(lines[number + 1].graph).firstIndex(of: "*")) / 2
                for column in marks.indices where marks[column] == "/" {
                    columns[target, default: []] += columns.removeValue(forKey: column) ?? []
                }
            }
        }
        return edges
    }

    @Test("every checkpoint stands once, in order, and the lines lead where they should", arguments: 0..<300 as Range<UInt64>)
    func layout(seed: UInt64) throws {
        var generator = SeededGenerator(seed)
        let nodes = random(&generator)
        let lineage = Lineage(nodes)
        #expect(lineage.lines.compactMap(\.checkpoint) == Array(nodes.indices), "seed \(seed)")
        for (index, predecessor) in lineage.predecessors.enumerated() {
            let node = nodes[index]
            let before = nodes.indices.first { nodes[$0].run == node.run && nodes[$0].step == node.step - 1 }
            #expect(predecessor == before ?? nodes.firstIndex { $0.id == node.parent }, "seed \(seed)")
        }
        let expected = lineage.predecessors.enumerated().reduce(into: [:]) { $0[$1.offset] = $1.element }
        #expect(try edges(in: lineage.lines) == expected, "seed \(seed)\n\(lineage.lines.map(\.graph).joined(separator: "\n"))")
    }

    @Test("two branches of one run")
    func picture() {
        let runs = (1...3).map { RunID(rawValue: UInt128($0) << 80) }
        let nodes = [
            Node(id: id(5), run: runs[2], step: 30, parent: id(1)), Node(id: id(4), run: runs[1], step: 30, parent: id(1)),
            Node(id: id(3), run: runs[1], step: 25, parent: id(1)), Node(id: id(2), run: runs[0], step: 30, parent: nil),
            Node(id: id(1), run: runs[0], step: 20, parent: nil), Node(id: id(0), run: runs[0], step: 10, parent: nil),
        ]
        #expect(Lineage(nodes).lines.map(\.graph) == ["*", "| *", "| *", "| | *", "| / /", "*", "*"])
    }

    @Test("a parent that names itself, or a later one, is none")
    func loops() {
        let runs = (1...2).map { RunID(rawValue: UInt128($0) << 80) }
        let nodes = [Node(id: id(1), run: runs[1], step: 1, parent: id(1)), Node(id: id(0), run: runs[0], step: 1, parent: id(1))]
        #expect(Lineage(nodes).predecessors == [nil, nil])
    }
}
