/// The graph of modules and rooms as text.
public enum GraphPicture {
    /// The columns that the text fits.
    public static let columns = 100

    /// Modules from the bottom up with what they depend on, then the rooms of each target that has
    /// more than one.
    public static func lines(_ tree: SourceTree) -> [String] {
        let products = Dictionary(
            tree.manifest.targets.map { target in
                (target.name, target.dependencies.filter(\.isProduct).map(\.name).sorted())
            }, uniquingKeysWith: +)
        let modules = picture(tree.manifest.graph) { products[$0] ?? [] }
        let rooms = RoomRules.rooms(tree).flatMap { [""] + lines($0) }
        return ["Modules, from the bottom up"] + modules + rooms
    }

    private static func lines(_ rooms: Rooms) -> [String] {
        let graph = rooms.graph
        let circles = graph.circles.map { circle in
            "    circle: " + (circle + circle.prefix(1)).joined(separator: " -> ")
        }
        return ["Rooms of \(rooms.target), from the bottom up"] + picture(graph) { _ in [] }
            + circles
    }

    private static func picture(_ graph: Graph, extra: (String) -> [String]) -> [String] {
        graph.levels.enumerated().flatMap { number, nodes in
            nodes.flatMap { node in
                let ends = (graph.arrows[node] ?? []).sorted() + extra(node)
                let head = "\(number < 10 ? " " : "")\(number)  \(node)"
                return ends.isEmpty ? [head] : wrap(head + " ->", ends)
            }
        }
    }

    /// Puts words behind a head, and continues on indented lines.
    private static func wrap(_ head: String, _ words: [String]) -> [String] {
        var lines = [head]
        for (index, word) in words.enumerated() {
            let text = word + (index + 1 < words.count ? "," : "")
            if lines[lines.count - 1].count + 1 + text.count > columns {
                lines.append("       ")
            }
            lines[lines.count - 1] += " " + text
        }
        return lines
    }
}
