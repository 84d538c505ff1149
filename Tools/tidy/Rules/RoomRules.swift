/// Rules about the rooms of a target: rooms that use each other cannot be read, tested or moved one
/// at a time.
public enum RoomRules {
    /// Rule: rooms do not use each other in a circle.
    @Sendable public static func circles(_ tree: SourceTree) -> [Violation] {
        circles(tree, facades: roomFacades)
    }

    /// Rule: the files directly in a target's folder use no room, unless the target is a facade.
    @Sendable public static func roots(_ tree: SourceTree) -> [Violation] {
        roots(tree, facades: roomFacades)
    }

    static func circles(_ tree: SourceTree, facades: [RoomFacade]) -> [Violation] {
        rooms(tree).flatMap { rooms in
            let isFacade = facades.contains { $0.target == rooms.target }
            return rooms.graph(isFacade: isFacade).circles.map { violation(rooms, $0) }
        }
    }

    static func roots(_ tree: SourceTree, facades: [RoomFacade]) -> [Violation] {
        let all = rooms(tree)
        let isFacade = Set(facades.map(\.target))
        let found = all.filter { !isFacade.contains($0.target) }.flatMap { rooms in
            rooms.examples.filter { $0.key.from == Rooms.root }.sorted { $0.key.to < $1.key.to }.map
            { arrow, example in
                Violation(
                    path: example.path, line: example.line, rule: "room-root",
                    message:
                        "\(example.name) is in room \(arrow.to) of \(rooms.target): a file outside"
                        + " the rooms may not use it; move the file into a room, or list a facade"
                )
            }
        }
        let needed = Set(
            all.filter { $0.examples.keys.contains { $0.from == Rooms.root } }.map(\.target))
        return found + facades.filter { !needed.contains($0.target) }.map(violation)
    }

    /// The rooms of every target that has more than one, in the order of the manifest.
    static func rooms(_ tree: SourceTree) -> [Rooms] {
        let files = tree.swiftFiles()
        return tree.manifest.targets.map { Rooms($0, files[$0.name] ?? []) }.filter {
            $0.names.count > 1
        }
    }

    private static func violation(_ rooms: Rooms, _ circle: [String]) -> Violation {
        let arrows = circle.indices.map { index in
            Rooms.Arrow(from: circle[index], to: circle[(index + 1) % circle.count])
        }
        let examples = arrows.compactMap { arrow in
            rooms.examples[arrow].map { "\(arrow.from) -> \(arrow.to) at \($0)" }
        }
        let first = arrows.first.flatMap { rooms.examples[$0] }
        return Violation(
            path: first?.path ?? "", line: first?.line ?? 1, rule: "room-circle",
            message: "rooms of \(rooms.target) use each other: \(examples.joined(separator: ", "))")
    }

    private static func violation(_ row: RoomFacade) -> Violation {
        Violation(
            path: RoomFacade.file, line: 1, rule: "room-root",
            message: "no file directly in \(row.target) uses a room of it; remove the facade")
    }
}
