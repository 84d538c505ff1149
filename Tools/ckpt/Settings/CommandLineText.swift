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

    /// - Parameter data: the arguments, each with a zero after it; the first is the program.
    static func firstInvalid(in data: Data) -> Int? {
        let arguments = data.split(separator: 0, omittingEmptySubsequences: false)
        return arguments.firstIndex { String(validating: $0, as: UTF8.self) == nil }
    }
}
