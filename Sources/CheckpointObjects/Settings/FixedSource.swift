/// Credentials that the caller has given.
package struct FixedSource: CredentialSource, CustomReflectable {
    private let credentials: Credentials

    /// Creates a source.
    ///
    /// - Parameter credentials: the credentials.
    package init(_ credentials: Credentials) { self.credentials = credentials }

    package func fetch(now: Double) -> CredentialAnswer {
        .found(credentials, source: "options of the program")
    }

    package var customMirror: Mirror { Mirror(self, children: [("credentials", credentials)]) }
}
