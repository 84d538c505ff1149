/// Gives credentials for requests. Thread-safe; may wait for other services.
package protocol CredentialProviding: Sendable {
    /// Returns credentials that are valid now; nil for requests without a signature.
    ///
    /// - Throws: why there are none, for people.
    func credentials() throws -> Credentials?

    /// Fetches new credentials.
    ///
    /// - Parameter rejected: the ones that the store has refused as expired.
    /// - Throws: why there are none, for people.
    func refresh(after rejected: Credentials) throws
}

/// Credentials that do not change.
package struct FixedCredentials: CredentialProviding {
    private let fixed: Credentials?

    /// Creates a provider.
    ///
    /// - Parameter credentials: the credentials; nil for requests without a signature.
    package init(_ credentials: Credentials?) { fixed = credentials }

    package func credentials() -> Credentials? { fixed }
    package func refresh(after rejected: Credentials) {}
}

/// Credentials from where the user has configured them.
struct ConfiguredCredentials: CredentialProviding {
    let provider: CredentialProvider

    func credentials() throws -> Credentials? { try provider.credentials() }
    func refresh(after rejected: Credentials) throws { try provider.refresh(after: rejected) }
}
