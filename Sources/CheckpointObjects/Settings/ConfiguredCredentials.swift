/// Credentials from where the user has configured them.
struct ConfiguredCredentials: CredentialProviding {
    let provider: CredentialProvider

    func credentials() throws -> Credentials? { try provider.credentials() }
    func refresh(after rejected: Credentials) throws { try provider.refresh(after: rejected) }
}
