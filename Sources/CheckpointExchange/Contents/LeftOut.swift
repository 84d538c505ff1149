internal import CheckpointFormat
internal import CheckpointState
package import SystemPackage

/// A part of a foreign file that an import leaves out.
package struct LeftOut: Sendable, Equatable {
    /// The keys that lead to it, joined by dots, or its file.
    package let name: String
    /// The class of the object, or the reason why it was left out.
    package let what: String
    /// The file, if all of it was left out.
    package let file: FilePath?

    init(name: String, what: String, file: FilePath? = nil) {
        self.name = name
        self.what = what
        self.file = file
    }

    /// Describes what would have been refused.
    ///
    /// - Parameters:
    ///   - name: the keys that lead to it, joined by dots.
    ///   - error: the reason to refuse it.
    init(name: String, _ error: ExchangeError) {
        self.init(name: name, what: error.message.replacing(ExchangeError.refusedPrefix, with: ""))
    }
}
