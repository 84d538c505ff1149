internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import CheckpointState
package import SystemPackage

/// The error of the public interface: the failure, the file or names concerned, and a remedy.
public struct CheckpointError: Error, Sendable, CustomStringConvertible {
    /// Class of a failure, chosen by what a caller does next. C status codes and the exit codes of
    /// `ckpt` are derived from this list.
    public enum Code: String, Sendable, CaseIterable {
        /// The store, checkpoint or tensor does not exist.
        case notFound
        /// The directory is not a store.
        case notAStore
        /// Another process is the store's writer, or holds its maintenance lock.
        case busy
        /// The step is already committed in this run.
        case exists
        /// The disk or quota is full.
        case noSpace
        /// Writing is not permitted.
        case readOnly
        /// The file system failed in another way.
        case io
        /// Bytes on disk differ from those written.
        case damaged
        /// The store uses a version, feature or codec that this software does not support.
        case unsupported
        /// The state and the checkpoint do not fit together.
        case mismatch
        /// The engine was called in a way it does not allow.
        case misuse
        /// The save was cancelled.
        case cancelled
        /// The save was skipped or abandoned because an earlier one was still being written.
        case skipped
        /// A wait reached its deadline first.
        case timedOut
        /// The system refused memory.
        case outOfMemory
        /// A state provider threw.
        case provider
        /// A device failed to copy tensor bytes.
        case device
    }

    /// The error of a lower layer that led to a failure.
    public struct Cause: Sendable, Equatable {
        /// The lower layer's own words.
        public var description: String
        /// The system's error number, if a system call failed.
        public var errno: Int32?

        package init(_ error: some Error, errno: Int32? = nil) {
            description = "\(error)"
            self.errno = errno
        }
    }

    /// The class of failure.
    public var code: Code
    /// The fact, with the file, step or name concerned.
    public var message: String
    /// The next action, in the imperative; nil if none is known.
    public var remedy: String?
    /// Path of the file concerned.
    public var path: String?
    /// Names of tensors and objects concerned.
    public var names: [String]
    /// Offset in the file, in bytes.
    public var offset: Int?
    /// The underlying error: of the file system, a segment, a device or a state provider; nil if
    /// the failure was found here.
    public var cause: Cause?
    /// True if the device reported that it cannot read the bytes (EIO). They are lost for good,
    /// unlike bytes that a lack of memory or descriptors makes unreadable for now.
    package var isUnreadable = false
    /// True if the message says how many `names` there are, and lists the first of them.
    package var messageHasNames = false

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: class of the failure.
    ///   - message: the fact, with the file, step or name concerned.
    ///   - remedy: the next action, in the imperative.
    ///   - path: path of the file concerned.
    ///   - names: names of tensors and objects concerned.
    ///   - offset: offset in the file, in bytes.
    package init(
        _ code: Code, _ message: String, remedy: String? = nil, path: String? = nil,
        names: [String] = [], offset: Int? = nil
    ) {
        self.code = code
        self.message = Self.asWritten(message)
        self.remedy = remedy
        self.path = path.map(Self.asWritten)
        self.names = names
        self.offset = offset
    }

    /// Writes the location of a bucket as people do: as a path, `s3://` has lost a slash.
    private static func asWritten(_ text: String) -> String {
        guard text.contains("s3:/") else { return text }
        return text.replacing("s3:/", with: "s3://").replacing("s3:///", with: "s3://")
    }

    public var description: String {
        var text = message
        if !messageHasNames, !names.allSatisfy(isInMessage) {
            let shown = names.prefix(4).joined(separator: ", ")
            text += " (concerns \(shown)\(names.count > 4 ? " and \(names.count - 4) more" : ""))"
        }
        // A message may end in words of another program, which are a sentence of their own.
        if let remedy { text += (text.hasSuffix(".") ? " " : ". ") + remedy }
        return text
    }

    /// Words after which a message states a name. A name may be any word, such as `data`, which
    /// also occurs in paths.
    private static let announcements = ["\"", "tensor ", "tensors ", "object ", "named ", " and "]

    /// Returns true if the message states a name.
    private func isInMessage(_ name: String) -> Bool {
        guard !name.isEmpty else { return true }
        return message.ranges(of: name).contains { range in
            let (before, next) = (message[..<range.lowerBound], message[range.upperBound...].first)
            return Self.announcements.contains { before.hasSuffix($0) }
                && next.map { $0 == " " || $0 == "\"" || $0 == "," || $0 == ":" } ?? true
        }
    }
}

extension CheckpointError.Code {
    /// True if a file that a manifest names is damaged; a file that is missing is damage, too.
    package var meansDamage: Bool { self == .damaged || self == .notFound }
}

extension CheckpointError {
    /// True if bytes are lost for good; false if they are only unreadable for now.
    package var meansLoss: Bool { code.meansDamage || isUnreadable }

    /// Converts an error of the file system; its errno decides the code.
    package init(_ error: FileSystemError) {
        let (code, remedy) =
            error.detail == nil
            ? Self.missingOperation(error) ?? Self.classify(error.errno)
            : Self.classifyAnswer(error.errno)
        self.init(code, error.description, remedy: remedy, path: error.path.string)
        cause = Cause(error, errno: error.errno.rawValue)
        isUnreadable = error.errno == .ioError
    }

    /// Describes a failed write to what is not a file of a store, such as standard output.
    ///
    /// - Parameters:
    ///   - message: the fact, without its cause.
    ///   - path: a name for it.
    ///   - errno: the error number.
    package init(_ message: String, writing path: String, _ errno: Errno) {
        self.init(FileSystemError("write(2)", FilePath(path), errno))
        self.message = "\(message): \(errno)"
    }

    /// Returns the class of an error of a file system without locks or hard links; nil for others.
    private static func missingOperation(_ error: FileSystemError) -> (Code, String?)? {
        guard error.isMissingOperation else { return nil }
        switch error.operation {
        case "flock(2)":
            return (
                .unsupported,
                "The file system has no locks: mount it with locks (Lustre: -o flock; "
                    + "NFS: without nolock), or put the store elsewhere"
            )
        case "link(2)":
            return (
                .unsupported,
                "The file system has no hard links, which a store needs to publish checkpoints: "
                    + "put the store on another file system, such as ext4, XFS or NFS"
            )
        default: return nil
        }
    }

    /// Returns the class of an error that an object store has answered.
    private static func classifyAnswer(_ errno: Errno) -> (Code, String?) {
        switch errno {
        case .noSuchFileOrDirectory: (.notFound, nil)
        case .permissionDenied:
            (.readOnly, "Check the credentials and the policy of the bucket")
        case .timedOut: (.io, "Check the network, and the address of the store")
        case .protocolError:
            (.io, "Check the address, or set AWS_CA_BUNDLE to a file with its certificates")
        case .notSupported: (.unsupported, nil)
        default: (.io, nil)
        }
    }

    private static func classify(_ errno: Errno) -> (Code, String?) {
        switch errno {
        case .noSpace, .diskQuotaExceeded: (.noSpace, "Free space, or run ckpt prune")
        case .readOnlyFileSystem, .permissionDenied, .notPermitted: (.readOnly, "Check permissions and mount options")
        case .noSuchFileOrDirectory: (.notFound, nil)
        case .fileTooLarge:
            (
                .noSpace,
                "The limit on file size is reached: raise it (ulimit -f unlimited)"
            )
        case .outOfRange: (.damaged, "The file is shorter than expected: copy it again, or run ckpt verify")
        default: (.io, nil)
        }
    }

    /// The error of a device that is a file, converted to an error of the file system; other errors
    /// unchanged.
    package var ofFile: CheckpointError {
        guard code == .device else { return self }
        var error = self
        error.code = .io
        guard let cause, let errno = cause.errno else { return error }
        error.message = cause.description
        (error.code, error.remedy) = Self.classify(Errno(rawValue: errno))
        return error
    }

    /// Converts an error of the format.
    ///
    /// - Parameters:
    ///   - error: the error.
    ///   - path: path of the file that was decoded.
    package init(_ error: FormatError, path: String) {
        self.init(
            error.kind == .damage ? .damaged : .unsupported, "\(path): \(error)",
            remedy: error.kind == .damage ? Self.remedyOfDamage : "Use a newer version of ckpt",
            path: path, offset: error.offset)
        cause = Cause(error)
    }

    static let remedyOfDamage = "Run ckpt verify to list all damage, ckpt repair to salvage intact tensors"

    /// Converts an error of reading or writing a segment.
    package init(_ error: SegmentError) {
        switch error {
        case .io(let cause): self.init(cause)
        case .missing(let cause):
            self.init(cause)
            code = .damaged
        case .format(let path, let cause): self.init(cause, path: path.string)
        case .codec(let path, let offset, _):
            self.init(.damaged, error.description, remedy: Self.remedyOfDamage, path: path.string, offset: offset)
        case .outOfMemory: self.init(.outOfMemory, error.description, remedy: "Free memory and try again")
        case .poisoned: self.init(.io, error.description)
        }
        cause = cause ?? Cause(error)
    }

    /// Converts an error of a state provider or of a lower layer.
    ///
    /// - Parameters:
    ///   - error: the error; a `CheckpointError` is kept as it is.
    ///   - action: the action that failed, as the start of a message.
    package init(any error: any Error, during action: String) {
        switch error {
        case let error as CheckpointError: self = error
        case let error as FileSystemError: self.init(error)
        case let error as SegmentError: self.init(error)
        case let error as StateError: self.init(.misuse, "\(action): \(error)")
        case let error as DeviceError:
            self.init(.device, "\(action): \(error)")
            cause = Cause(error, errno: error.errno)
        case let error as any CheckpointErrorConvertible: self = error.checkpointError(during: action)
        case let error as ThreadError: self.init(.outOfMemory, "\(action): \(error)", remedy: "Raise the limit on threads (ulimit -u)")
        case let error as OutOfMemory: self.init(.outOfMemory, "\(action): \(error)")
        default: self.init(.provider, "\(action): \(error)")
        }
        if cause == nil, !(error is CheckpointError) { cause = Cause(error) }
    }
}

/// Runs `body` and converts errors of lower layers to `CheckpointError`.
///
/// - Parameters:
///   - action: the action, as the start of a message.
///   - body: the code to run.
/// - Returns: the result of `body`.
/// - Throws: the error of `body`, converted by `CheckpointError.init(any:during:)`.
package func translating<R>(_ action: String, _ body: () throws -> R) throws(CheckpointError) -> R {
    do { return try body() } catch { throw CheckpointError(any: error, during: action) }
}
