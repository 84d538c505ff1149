import Foundation

/// A person's choices for all commands: the file `ckpt/config` in `$XDG_CONFIG_HOME`, or
/// in `~/.config` (XDG Base Directory Specification).
///
/// Lines of `key = value`; `#` begins a comment. The command line and `CKPT_STORE` take
/// precedence.
struct UserConfiguration: Equatable {
    /// The store of commands that name none.
    var store: String?
    var isQuiet = false
    var usesUTC = false

    /// A line that cannot be used.
    struct Mistake: Error, Equatable, CustomStringConvertible {
        var line: Int
        var text: String
        var description: String { "line \(line): \(text)" }
    }

    init() {}

    /// Parses the text of the file.
    ///
    /// - Throws: `Mistake`, the first.
    init(parsing text: String) throws(Mistake) {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            let content = line.prefix { $0 != "#" }.trimmingCharacters(in: .whitespaces)
            if content.isEmpty { continue }
            let parts = content.split(separator: "=", maxSplits: 1).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            guard parts.count == 2, !parts[1].isEmpty else {
                throw Mistake(
                    line: index + 1, text: "\"\(content)\" does not have the form key = value")
            }
            switch parts[0] {
            case "store": store = NSString(string: parts[1]).expandingTildeInPath
            case "quiet": isQuiet = try Self.flag(parts[1], index + 1)
            case "utc": usesUTC = try Self.flag(parts[1], index + 1)
            default:
                throw Mistake(
                    line: index + 1,
                    text: "unknown key \(parts[0]); the keys are store, quiet and utc")
            }
        }
    }

    private static func flag(_ text: String, _ line: Int) throws(Mistake) -> Bool {
        switch text.lowercased() {
        case "yes", "true", "on", "1": true
        case "no", "false", "off", "0": false
        default: throw Mistake(line: line, text: "the value \"\(text)\" is not yes or no")
        }
    }

    /// Path of the file; nil if there is no home directory.
    static func path(_ environment: [String: String]) -> String? {
        if let folder = environment["XDG_CONFIG_HOME"], folder.hasPrefix("/") {
            return folder + "/ckpt/config"
        }
        return environment["HOME"].flatMap { $0.isEmpty ? nil : $0 + "/.config/ckpt/config" }
    }

    private static let bytesMax = 65_536

    /// The person's choices. A file that cannot be used is reported, and counts as empty.
    static let current: UserConfiguration = {
        // No file: nothing was chosen.
        guard let path = path(ProcessInfo.processInfo.environment),
            let file = FileHandle(forReadingAtPath: path),
            let data = try? file.read(upToCount: bytesMax)
        else { return .init() }
        do { return try .init(parsing: String(decoding: data, as: UTF8.self)) } catch {
            Output.warn("\(path) is ignored: \(error)")
            return .init()
        }
    }()
}
