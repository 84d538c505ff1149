internal import CheckpointFormat
package import CheckpointIO
internal import SystemPackage

/// Failure to read or write a foreign file.
package struct ExchangeError: Error, CustomStringConvertible {
    package enum Kind: Sendable {
        /// The bytes violate their format.
        case damage
        /// The file may be valid but is not supported: it contains code, an unknown type or layout,
        /// or exceeds a limit.
        case refused
        /// The output path already exists, or is not suitable.
        case inUse
        /// The bytes are compressed, and there is no place to inflate them.
        case notInflated
        /// A file system call failed.
        case file(FileSystemError)
    }

    package var kind: Kind
    /// The file concerned.
    package var path: String
    /// The failure and the object it concerns.
    package var message: String
    /// The remedy, as an imperative sentence.
    package var remedy: String?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - kind: class of the failure.
    ///   - path: the file concerned.
    ///   - message: the failure and the object it concerns.
    ///   - remedy: an imperative sentence; nil if no remedy is known.
    package init(_ kind: Kind, _ path: String, _ message: String, remedy: String? = nil) {
        self.kind = kind
        self.path = path
        self.message = message
        self.remedy = remedy
    }

    /// Creates an error for bytes that violate their format.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - message: the violation and its place.
    ///   - remedy: an imperative sentence; nil if no remedy is known.
    /// - Returns: an error of kind `damage`.
    package static func damage(_ path: String, _ message: String, remedy: String? = nil)
        -> ExchangeError
    {
        ExchangeError(.damage, path, message, remedy: remedy)
    }

    /// Creates an error for a file that is not supported.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - message: the reason.
    ///   - remedy: an imperative sentence; nil if no remedy is known.
    /// - Returns: an error of kind `refused`.
    package static func refused(_ path: String, _ message: String, remedy: String? = nil)
        -> ExchangeError
    {
        ExchangeError(.refused, path, refusedPrefix + message, remedy: remedy)
    }

    static let refusedPrefix = "not supported: "

    static func inUse(_ path: String, _ message: String, remedy: String? = nil) -> ExchangeError {
        ExchangeError(.inUse, path, message, remedy: remedy)
    }

    init(_ error: FileSystemError) {
        self.init(.file(error), error.path.string, error.description)
    }

    /// True if the file does not exist, or is a directory or a device.
    var isMissingFile: Bool {
        if case .file(let cause) = kind {
            [.noSuchFileOrDirectory, .notSupported].contains(cause.errno)
        } else {
            false
        }
    }

    init(_ error: FormatError, _ path: String) { self.init(.damage, path, error.description) }

    package var description: String {
        if case .inUse = kind { return "\(path) \(message)" }
        return "\(path): \(message)"
    }
}

/// Runs `body` and converts errors of the file system to `ExchangeError`.
///
/// - Parameter body: calls of the file system.
/// - Returns: the result of `body`.
/// - Throws: `ExchangeError` of kind `file`.
func exchanging<R>(_ body: () throws(FileSystemError) -> R) throws(ExchangeError) -> R {
    do throws(FileSystemError) { return try body() } catch { throw ExchangeError(error) }
}

/// Quotes text from a file, shortened for a message. The cut is made between bytes, because one
/// letter can have any number of accents.
///
/// - Parameter text: untrusted text of any length.
/// - Returns: the text in double quotes; at most 60 bytes of it if it is longer than 80 bytes.
func quoted(_ text: String) -> String {
    guard text.utf8.count > 80 else { return "\"\(text)\"" }
    var bytes = text.utf8.prefix(60)
    while String(bytes) == nil { bytes.removeLast() }
    return "\"\(String(bytes) ?? "")...\" (\(text.utf8.count) bytes)"
}
