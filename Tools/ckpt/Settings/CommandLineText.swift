import Foundation

/// The arguments as the system passed them. In those that Swift passes on, bytes that are not UTF-8
/// have been replaced: two paths could become one.
enum CommandLineText {
    /// Number of the first argument that is not UTF-8; nil if all are.
    static var firstInvalid: Int? {
        // A system without /proc is trusted.
        guard let data = FileManager.default.contents(atPath: "/proc/self/cmdline") else { return nil }
        return firstInvalid(in: data)
    }

    /// What is not UTF-8 in the command line, or in what completes its paths; nil if nothing is.
    static var mistake: String? {
        if let number = firstInvalid {
            return "argument \(number) is not valid UTF-8. Rename the file or directory, or use a link to it"
        }
        let environment = FileManager.default.contents(atPath: "/proc/self/environ")
        if let name = environment.flatMap({ invalidVariable(in: $0) }) {
            return "\(name) is not valid UTF-8. Rename the directory, or use a link to it"
        }
        return isInNamelessDirectory
            ? "the path of the working directory is not valid UTF-8. Change to another directory, or use a link to it"
            : nil
    }

    /// Variables whose values are paths.
    private static let variables = ["CKPT_STORE", "HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"]

    /// - Parameter data: the environment, with a zero after each variable.
    static func invalidVariable(in data: Data) -> String? {
        let entries = data.split(separator: 0).filter { String(validating: $0, as: UTF8.self) == nil }
        return variables.first { name in entries.contains { $0.starts(with: Data("\(name)=".utf8)) } }
    }

    /// True if the path of the working directory, as a text, is not its path.
    private static var isInNamelessDirectory: Bool {
        func number(_ path: String) -> Int? {
            // One that cannot be examined is not there by this name.
            let attributes = try? FileManager.default.attributesOfItem(atPath: path)
            return attributes?[.systemFileNumber] as? Int
        }
        let path = FileManager.default.currentDirectoryPath
        return path.contains("\u{FFFD}") && number(path) != number(".")
    }

    /// - Parameter data: the arguments, each with a zero after it; the first is the program.
    static func firstInvalid(in data: Data) -> Int? {
        let arguments = data.split(separator: 0, omittingEmptySubsequences: false)
        return arguments.firstIndex { String(validating: $0, as: UTF8.self) == nil }
    }
}
