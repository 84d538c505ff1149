/// The answer of a source.
package enum CredentialAnswer: Sendable, Equatable {
    /// Credentials, and the source for people.
    case found(Credentials, source: String)
    /// The source is not configured: the source, and what is missing.
    case absent(String)
}
