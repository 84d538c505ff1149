internal import CheckpointFormat
public import CheckpointStorage
internal import Foundation

/// Other names for tensors in exported files. A plain value.
///
/// If a file of names lists a name, the complete name is replaced; otherwise the first matching
/// prefix.
public struct Renaming: Sendable {
    /// A prefix of names, and its replacement.
    public struct Prefix: Sendable {
        /// The prefix to replace.
        public var old: String
        /// Its replacement; may be empty.
        public var new: String

        /// Creates a rule.
        ///
        /// - Parameters:
        ///   - old: the prefix to replace; an empty one matches every name.
        ///   - new: its replacement; may be empty.
        public init(_ old: String, _ new: String) { (self.old, self.new) = (old, new) }
    }

    /// The rules, in order of precedence.
    public var prefixes: [Prefix]
    /// Full names, and their replacements. They take precedence over prefixes.
    public var names: [String: String]

    /// Creates a renaming; without arguments every name stays.
    ///
    /// - Parameters:
    ///   - prefixes: the rules, in order of precedence.
    ///   - names: full names and their replacements, which take precedence over `prefixes`.
    public init(prefixes: [Prefix] = [], names: [String: String] = [:]) {
        (self.prefixes, self.names) = (prefixes, names)
    }

    /// Reads full names from a file.
    ///
    /// - Parameters:
    ///   - prefixes: rules for names that the file does not list.
    ///   - file: path of a JSON object that maps names to names.
    /// - Throws: codes `notFound` (the file cannot be read), `misuse` (it is not such an object).
    public init(prefixes: [Prefix] = [], file: String) throws(CheckpointError) {
        let text: Data
        do { text = try Data(contentsOf: URL(fileURLWithPath: file)) } catch {
            throw CheckpointError(
                .notFound, "\(file) cannot be read: \(error.localizedDescription)", path: file)
        }
        // The message below is clearer than the error of the parser.
        guard case .object(let members)? = try? JSONParser.parse(Array(text)[...]) else {
            throw CheckpointError(
                .misuse, "\(file) is not a JSON object that maps tensor names to new names",
                path: file)
        }
        var names: [String: String] = [:]
        for member in members {
            guard case .string(let name) = member.value else {
                throw CheckpointError(
                    .misuse, "\(file): the new name of \(member.key) is not a string", path: file)
            }
            names[member.key] = name
        }
        self.init(prefixes: prefixes, names: names)
    }

    /// Returns the name that a tensor has in the exported files.
    ///
    /// - Parameter tensor: its name in the checkpoint.
    /// - Returns: the new name; `tensor` itself if neither a full name nor a prefix matches.
    public func name(of tensor: String) -> String {
        if let name = names[tensor] { return name }
        guard let prefix = prefixes.first(where: { tensor.hasPrefix($0.old) }) else { return tensor }
        return prefix.new + tensor.dropFirst(prefix.old.count)
    }
}
