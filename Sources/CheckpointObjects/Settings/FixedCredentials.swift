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
