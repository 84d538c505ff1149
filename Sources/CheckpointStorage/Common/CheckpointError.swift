internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import CheckpointState
internal import SystemPackage

/// What went wrong, with what, and what to do about it. The one error of the engine's interface.
public struct CheckpointError: Error, Sendable, CustomStringConvertible {
    /// Classes of failure, by what a caller does next. C status codes and exit codes of `ckpt` are projections of this list.
    public enum Code: String, Sendable, CaseIterable {
        /// There is no such store, checkpoint or tensor.
        case notFound
        /// The directory is not a store.
        case notAStore
        /// Another process is the store's writer.
        case busy
        /// The step is already committed in this run.
        case exists
        /// The disk or quota is full.
        case noSpace
        /// Writing is not permitted.
        case readOnly
        /// The file system failed in another way.
        case io
        /// Bytes on disk are not what was written.
        case damaged
        /// The store is of a version, feature or codec that this software does not know.
        case unsupported
        /// The state and the checkpoint do not fit together.
        case mismatch
        /// The engine was called in a way it does not allow.
        case misuse
        /// The save was cancelled.
        case cancelled
        /// The save was skipped, or gave way, because an earlier one was still being written.
        case skipped
        /// A wait ended before what it waited for.
        case timedOut
        /// The system refused memory.
        case outOfMemory
        /// A state provider threw.
        case provider
        /// A device did not copy what it was asked to.
        case device
    }

    /// The class of failure.
    public var code: Code
    /// What happened, to what.
    public var message: String
    /// What to do.
    public var remedy: String?
    /// The file concerned.
    public var path: String?
    /// Names of tensors and objects concerned.
    public var names: [String]
    /// Offset in the file, in bytes.
    public var offset: Int?
    /// Whether the device said that it cannot read what is there (EIO): lost for good, unlike what a lack of memory or descriptors hides.
    package var isUnreadable = false

    package init(
        _ code: Code, _ message: String, remedy: String? = nil, path: String? = nil, names: [String] = [],
        offset: Int? = nil
    ) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.path = path
        self.names = names
        self.offset = offset
    }

    public var description: String {
        var text = message
        if !names.isEmpty {
            let shown = names.prefix(4).joined(separator: ", ")
            text += " (concerns \(shown)\(names.count > 4 ? " and \(names.count - 4) more" : ""))"
        }
        if let remedy { text += ". " + remedy }
        return text
    }
}

extension CheckpointError {
    /// Whether bytes are lost, and not only out of reach for now.
    package var meansLoss: Bool { code == .damaged || code == .notFound || isUnreadable }

    package init(_ error: FileSystemError) {
        let (code, remedy) = Self.classify(error.errno)
        self.init(code, error.description, remedy: remedy, path: error.path.string)
        isUnreadable = error.errno == .ioError
    }

    private static func classify(_ errno: Errno) -> (Code, String?) {
        switch errno {
        case .noSpace, .diskQuotaExceeded: (.noSpace, "Free some space, or prune old checkpoints")
        case .readOnlyFileSystem, .permissionDenied, .notPermitted: (.readOnly, "Check permissions and mount options")
        case .noSuchFileOrDirectory: (.notFound, nil)
        case .outOfRange: (.damaged, "The file is shorter than it should be")
        default: (.io, nil)
        }
    }

    package init(_ error: FormatError, path: String) {
        self.init(
            error.kind == .damage ? .damaged : .unsupported, "\(path): \(error)",
            remedy: error.kind == .damage ? Self.remedyOfDamage : "Use a newer version of ckpt", path: path, offset: error.offset)
    }

    private static let remedyOfDamage = "ckpt verify tells what else is damaged, ckpt repair keeps what is not"

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
    }

    /// Wraps whatever a state provider or another layer threw.
    package init(any error: any Error, during action: String) {
        switch error {
        case let error as CheckpointError: self = error
        case let error as FileSystemError: self.init(error)
        case let error as SegmentError: self.init(error)
        case let error as StateError: self.init(.misuse, "\(action): \(error)")
        case let error as DeviceError: self.init(.device, "\(action): \(error)")
        case let error as any CheckpointErrorConvertible: self = error.checkpointError(during: action)
        case let error as ThreadError: self.init(.outOfMemory, "\(action): \(error)", remedy: "Raise the limit of threads")
        case let error as OutOfMemory: self.init(.outOfMemory, "\(action): \(error)")
        default: self.init(.provider, "\(action): \(error)")
        }
    }
}

/// Runs `body` with the errors of lower layers turned into the interface's own.
package func translating<R>(_ action: String, _ body: () throws -> R) throws(CheckpointError) -> R {
    do { return try body() } catch { throw CheckpointError(any: error, during: action) }
}
