internal import AsyncHTTPClient
internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import SystemPackage

/// A request that got no answer. The host may have acted all the same, unless the request was
/// not sent.
struct HTTPFailure: Error, Equatable {
    enum Kind {
        case timeout
        /// No connection, or one that has ended.
        case disconnected
        /// The host has not shown that it is the one that is meant. Nothing was sent, and the next
        /// attempt ends in the same way.
        case untrusted
    }

    var kind: Kind
    var text: String

    /// Creates a failure.
    init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text
    }

    /// Describes an error in words that people know: those of the network library are for its
    /// developers.
    ///
    /// - Parameters:
    ///   - error: the error of the library.
    ///   - timeout: the time limit of the request.
    init(_ error: any Error, after timeout: Duration) {
        let seconds = Int((timeout / .seconds(1)).rounded(.up))
        switch error {
        case let error as HTTPClientError: self.init(of: error, seconds)
        case let error as IOError:
            self.init(.disconnected, "no connection: \(Errno(rawValue: error.errnoCode))")
        case let error as NIOConnectionError: self.init(connecting: error)
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            self.init(.untrusted, "the certificate of the host is for another name")
        case NIOSSLError.handshakeFailed(let reason):
            self.init(.untrusted, Self.text(ofHandshake: "\(reason)"))
        case NIOSSLError.unableToValidateCertificate, NIOSSLError.noCertificateToValidate:
            self.init(.untrusted, "the host has shown no valid certificate")
        case NIOSSLError.uncleanShutdown: self.init(.disconnected, Self.closed)
        default: self.init(.disconnected, "\(error)")
        }
    }

    private static let closed = "the connection was closed before the response was complete"

    private init(of error: HTTPClientError, _ seconds: Int) {
        switch error {
        case .deadlineExceeded: self.init(.timeout, "no response within \(seconds) s")
        case .readTimeout:
            self.init(.timeout, "the connection received no data for too long")
        case .connectTimeout: self.init(.timeout, "no connection within the time limit")
        case .remoteConnectionClosed: self.init(.disconnected, Self.closed)
        default: self.init(.disconnected, error.description)
        }
    }

    private init(connecting error: NIOConnectionError) {
        let numbers = error.connectionErrors.compactMap { $0.error as? IOError }
        if let last = numbers.last {
            self.init(.disconnected, "no connection: \(Errno(rawValue: last.errnoCode))")
        } else if error.dnsAError != nil || error.dnsAAAAError != nil {
            self.init(.disconnected, "the address of the host \(error.host) was not found")
        } else {
            self.init(.timeout, "no connection within the time limit")
        }
    }

    /// - Parameter reason: the errors of the TLS library: file, line, and a name in capitals.
    private static func text(ofHandshake reason: String) -> String {
        let known = [
            ("CERTIFICATE_VERIFY_FAILED", "the certificate of the host is not trusted"),
            ("WRONG_VERSION_NUMBER", "the host does not use TLS at this port"),
            ("HTTP_REQUEST", "the host does not use TLS at this port"),
        ]
        return known.first { reason.contains($0.0) }?.1 ?? "the TLS handshake failed: \(reason)"
    }
}
