/// Rules about the names of types.
public enum TypeNameRules {
    /// Rule: of the types that other targets see, no two targets declare one of the same name. A
    /// file that imports both modules could use neither; the compiler says so only when it compiles
    /// that file again.
    @Sendable public static func unique(_ tree: SourceTree) -> [Violation] {
        var first: [String: String] = [:]
        return tree.swiftFiles().sorted { $0.key < $1.key }.flatMap { target, files in
            files.flatMap { file in
                TypeDeclaration.all(in: file.lines).compactMap { type -> Violation? in
                    guard type.isTopLevel, type.isShared, type.keyword != "extension" else {
                        return nil
                    }
                    let owner = first[type.name, default: target]
                    first[type.name] = owner
                    guard owner != target else { return nil }
                    return Violation(
                        path: file.path, line: type.line, rule: "type-name",
                        message:
                            "target \(owner) declares a \(type.name), too; give one another name")
                }
            }
        }
    }
}
