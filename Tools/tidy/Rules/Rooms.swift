/// The rooms of a target, which are the top-level folders inside its folder, and the arrows between
/// them.
///
/// A room points to another if its code names a type that only the other declares, or uses a member
/// that only an extension in the other adds to a type of the target. Files directly in the target's
/// folder belong to the room ".".
struct Rooms {
    /// The room of the files directly in the target's folder.
    static let root = "."

    /// The name of the target.
    let target: String
    /// Every room that has a Swift file, in order.
    let names: [String]
    /// The first place that makes each arrow.
    let examples: [Arrow: Example]

    /// An arrow between two rooms.
    struct Arrow: Hashable {
        let from: String
        let to: String
    }

    /// A place that names a type or a member.
    struct Example: Equatable, CustomStringConvertible {
        let path: String
        let line: Int
        let name: String

        var description: String { "\(path):\(line) \(name)" }
    }

    /// Finds the rooms of a target with these files.
    init(_ target: PackageTarget, _ files: [SourceFile]) {
        let rooms = files.map { (file: $0, room: Self.room(of: $0.path, in: target)) }
        let homes = Self.homes(rooms)
        let members = Self.members(rooms, homes)
        var examples: [Arrow: Example] = [:]
        for (file, room) in rooms {
            let types = Self.typeNames(file.lines).compactMap { name, line in
                homes[name].map { (home: $0, name: name, line: line) }
            }
            for (home, name, line) in types + Self.uses(of: members, in: file.lines)
            where home != room {
                let arrow = Arrow(from: room, to: home)
                examples[arrow] =
                    examples[arrow] ?? Example(path: file.path, line: line, name: name)
            }
        }
        self.target = target.name
        names = Set(rooms.map(\.room)).sorted()
        self.examples = examples
    }

    /// The arrows that the rules judge. Every room may use the root, so arrows to it count only if
    /// the root is a facade, which uses the other rooms.
    func graph(isFacade: Bool) -> Graph {
        let judged = examples.keys.filter {
            isFacade || ($0.to != Self.root && $0.from != Self.root)
        }
        let ends = Dictionary(grouping: judged, by: \.from).mapValues { Set($0.map(\.to)) }
        return Graph(ends.merging(names.map { ($0, []) }) { ends, _ in ends })
    }

    /// Every arrow.
    var graph: Graph { graph(isFacade: true) }

    private static func room(of path: String, in target: PackageTarget) -> String {
        let parts = path.dropFirst(target.folder.utf8.count + 1).split(separator: "/")
        return parts.count > 1 ? String(parts[0]) : root
    }

    /// The room that declares each type. A type of two rooms has no home, because its name does not
    /// tell which is meant.
    private static func homes(_ rooms: [(file: SourceFile, room: String)]) -> [String: String] {
        var homes: [String: Set<String>] = [:]
        for (file, room) in rooms {
            let visible = TypeDeclaration.all(in: file.lines).filter {
                $0.isTopLevel && !$0.isPrivate
            }
            for type in visible where type.keyword != "extension" {
                homes[type.name, default: []].insert(room)
            }
        }
        return homes.compactMapValues { $0.count == 1 ? $0.first : nil }
    }

    /// A member that an extension adds to a type of another room.
    private struct AddedMember {
        let declaration: MemberDeclaration
        let home: String
    }

    /// The members that extensions in one room add to types of other rooms, by name. A name that the
    /// target declares elsewhere too is left out, because it does not tell which is meant.
    private static func members(
        _ rooms: [(file: SourceFile, room: String)], _ homes: [String: String]
    ) -> [String: AddedMember] {
        var members: [String: [AddedMember?]] = [:]
        for (file, room) in rooms {
            for declaration in MemberDeclaration.all(in: file.lines) {
                let isAdded = declaration.extended.flatMap { homes[$0] }.map { $0 != room } ?? false
                members[declaration.name, default: []].append(
                    isAdded ? AddedMember(declaration: declaration, home: room) : nil)
            }
        }
        return members.compactMapValues { all in
            let isOfOneRoom = all.allSatisfy { $0 != nil && $0?.home == all[0]?.home }
            return isOfOneRoom ? all[0] : nil
        }
    }

    private static func uses(
        of members: [String: AddedMember], in lines: Lines
    ) -> [(home: String, name: String, line: Int)] {
        lines.code.indices.flatMap { index in
            words(lines.code[index]).compactMap { word in
                guard let member = members[word.text], member.declaration.isUsed(by: word) else {
                    return nil
                }
                return (member.home, word.text, index + 1)
            }
        }
    }

    /// The capitalised words in the code of a file, but members of types, and types that the file
    /// itself declares: these hide a type of another room.
    private static func typeNames(_ lines: Lines) -> [(String, Int)] {
        let own = Set(
            TypeDeclaration.all(in: lines).filter { $0.keyword != "extension" }.map(\.name))
        return lines.code.indices.flatMap { index in
            words(lines.code[index]).compactMap { word in
                let isName = word.text.first?.isUppercase == true && word.before != "."
                return isName && !own.contains(word.text) ? (word.text, index + 1) : nil
            }
        }
    }
}
