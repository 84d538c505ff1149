package import CheckpointIO

/// Why a request to an object store failed.
package struct ObjectStoreError: Error, Equatable, CustomStringConvertible {
    /// A class of errors, by the way on from them.
    package enum Kind: Sendable, Equatable {
        /// There is no object with this key.
        case notFound
        /// An object with this key exists already.
        case exists
        /// The credentials are missing, wrong or not sufficient.
        case denied
        /// The host has not shown that it is the store.
        case untrusted
        /// No connection, or no answer in time, also after retries.
        case noAnswer
        /// The store does not have what a checkpoint needs.
        case unsupported
        /// Every other failure, also after retries.
        case failed
    }

    package var kind: Kind
    /// The request: "PUT", "GET".
    package var operation: String
    /// The object, without the bucket.
    package var key: String
    /// The store's answer, for people.
    package var detail: String
    /// The error of a file of this machine that led to it; nil if there is none.
    package var cause: FileSystemError?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - kind: what the caller can do about it.
    ///   - operation: the request.
    ///   - key: the object.
    ///   - detail: what the store answered.
    ///   - cause: the error of a file of this machine that led to it.
    package init(
        _ kind: Kind, _ operation: String, _ key: String, _ detail: String,
        cause: FileSystemError? = nil
    ) {
        self.kind = kind
        self.operation = operation
        self.key = key
        self.detail = detail
        self.cause = cause
    }

    package var description: String { "\(operation) of \(key) failed: \(detail)" }
}
