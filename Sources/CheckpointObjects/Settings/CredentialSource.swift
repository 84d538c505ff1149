/// A place that may have credentials.
package protocol CredentialSource: Sendable {
    /// Looks for credentials, and fetches them. Called again for each refresh, also from other
    /// threads, but never from two at a time.
    ///
    /// - Parameter now: the time in seconds since 1970.
    /// - Returns: the credentials, or why there are none here.
    /// - Throws: `CredentialError` if the source is configured and fails; no other source is asked.
    func fetch(now: Double) throws(CredentialError) -> CredentialAnswer
}
