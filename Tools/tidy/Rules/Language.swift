/// The languages whose comments can be told from their code.
public enum Language: Sendable {
    case swift
    /// C, whose comments look like Swift's.
    case c
    /// A script, whose comments are the lines that start with `#`.
    case script
    /// Text without code.
    case other

    /// The language of a file, by its name; a file in Tools without an extension is a script.
    public init(path: String) {
        let name = path.split(separator: "/").last ?? ""
        let ending = name.split(separator: ".", omittingEmptySubsequences: false).dropFirst().last
        self =
            switch ending {
            case "swift": .swift
            case "c", "h": .c
            case "py", "sh": .script
            case nil where path.hasPrefix("Tools/"): .script
            default: .other
            }
    }
}
