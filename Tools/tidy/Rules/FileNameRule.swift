/// Rule: a file is named after a type that it declares or extends, so that the type is found by its
/// name.
enum FileNameRule {
    /// Checks that `X.swift` and `X+Y.swift` declare or extend X at the top level.
    @Sendable static func check(_ path: String, _ lines: Lines) -> [Violation] {
        guard isSwift(path, in: ["Sources/", "Tools/"]), let name = typeName(path), name != "main"
        else { return [] }
        let declared = TypeDeclaration.all(in: lines).filter(\.isTopLevel).flatMap { type in
            [type.name] + type.name.split(separator: ".").map { String($0) }
        }
        guard !declared.contains(name) else { return [] }
        return [
            Violation(
                path: path, line: 1, rule: "misfiled",
                message:
                    "the file neither declares nor extends \(name); name it after its main type"
            )
        ]
    }

    private static func typeName(_ path: String) -> String? {
        let file = path.split(separator: "/").last?.dropLast(".swift".utf8.count)
        return file?.split(separator: "+").first.map { String($0) }
    }
}
