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
