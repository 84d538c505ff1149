internal import CheckpointFormat
package import CheckpointIO
internal import SystemPackage

/// Why a foreign file was not read or written.
package struct ExchangeError: Error, CustomStringConvertible {
    package enum Kind: Sendable {
        /// The bytes break a rule of their format.
        case damage
        /// The file may be in order, and is not taken: code in it, a type or a layout that is not known here, a limit.
        case refused
        /// Something is in the place that is to be written to.
        case inUse
        /// The file system failed.
        case file(FileSystemError)
    }

    package var kind: Kind
    /// The file concerned.
    package var path: String
    /// What happened, to what.
    package var message: String
    /// What to do.
    package var remedy: String?

    package init(_ kind: Kind, _ path: String, _ message: String, remedy: String? = nil) {
        self.kind = kind
        self.path = path
        self.message = message
        self.remedy = remedy
    }

    package static func damage(_ path: String, _ message: String) -> ExchangeError { ExchangeError(.damage, path, message) }

    package static func refused(_ path: String, _ message: String, remedy: String? = nil) -> ExchangeError {
        ExchangeError(.refused, path, "refused: " + message, remedy: remedy)
    }

    static func inUse(_ path: String, _ message: String, remedy: String? = nil) -> ExchangeError {
        ExchangeError(.inUse, path, message, remedy: remedy)
    }

    init(_ error: FileSystemError) {
        self.init(.file(error), error.path.string, error.description)
    }

    /// Whether there is no such file, or a directory or device in its place.
    var isMissingFile: Bool {
        if case .file(let cause) = kind { [.noSuchFileOrDirectory, .notSupported].contains(cause.errno) } else { false }
    }

    init(_ error: FormatError, _ path: String) { self.init(.damage, path, error.description) }

    package var description: String { "\(path): \(message)" }
}

/// Runs `body` with the file system's errors turned into this module's own.
func exchanging<R>(_ body: () throws(FileSystemError) -> R) throws(ExchangeError) -> R {
    do throws(FileSystemError) { return try body() } catch { throw ExchangeError(error) }
}

/// Text from a file, short enough for a message. It is cut by bytes: one letter can have any number of accents.
func quoted(_ text: String) -> String {
    guard text.utf8.count > 80 else { return "\"\(text)\"" }
    var bytes = text.utf8.prefix(60)
    while String(bytes) == nil { bytes.removeLast() }
    return "\"\(String(bytes) ?? "")...\" (\(text.utf8.count) bytes)"
}
