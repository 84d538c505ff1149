public import CheckpointFormat

/// A selector of runs: a name, in which `*` and `?` match any characters, or the first 4 or more
/// hexadecimal digits of an id.
public struct RunSelector: Sendable, CustomStringConvertible {
    public let description: String
    private let pattern: NamePattern
    private let prefix: String?

    /// Creates a selector; every text is valid.
    ///
    /// - Parameter text: a name, a pattern, or digits of the id of a run, branch or restart.
    public init(_ text: String) {
        description = text
        pattern = NamePattern(text)
        let isHexadecimal = text.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
        }
        prefix = isHexadecimal && (4...32).contains(text.utf8.count) ? text : nil
    }

    /// Returns true if the run of a checkpoint is selected.
    ///
    /// - Parameters:
    ///   - name: the run's name.
    ///   - restart: the restart id in the checkpoint's name.
    ///   - origin: the checkpoint's place in its run.
    /// - Returns: true if the name matches, or an id begins with the digits.
    public func matches(name: String, restart: RunID, origin: CheckpointOrigin) -> Bool {
        if pattern.matches(name) { return true }
        guard let prefix else { return false }
        return [restart, origin.run, origin.branch].contains { $0.description.hasPrefix(prefix) }
    }
}
