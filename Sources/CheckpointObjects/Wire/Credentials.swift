internal import Foundation

/// The right to use an object store. Never printed: its description names the key's id alone.
package struct Credentials: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    package var accessKeyID: String
    package var secretAccessKey: String
    /// Present in temporary credentials.
    package var sessionToken: String?
    /// When they end, in seconds since 1970; nil if they do not.
    package var expiry: Double?

    /// Creates credentials.
    ///
    /// - Parameters:
    ///   - accessKeyID: the key's id.
    ///   - secretAccessKey: the secret.
    ///   - sessionToken: present in temporary credentials.
    ///   - expiry: when they end, in seconds since 1970; nil if they do not.
    package init(
        accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil,
        expiry: Double? = nil
    ) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
        self.expiry = expiry
    }

    /// What must never be shown.
    var secrets: [String] { [secretAccessKey] + (sessionToken.map { [$0] } ?? []) }

    package var description: String { "Credentials(\(accessKeyID))" }
    package var customMirror: Mirror { Mirror(self, children: [("accessKeyID", accessKeyID)]) }
}
