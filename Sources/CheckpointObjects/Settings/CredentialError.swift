/// Credentials that could not be had. Never holds a secret.
package struct CredentialError: Error, Equatable, CustomStringConvertible {
    /// The source: "environment", "profile dev in ~/.aws/config".
    package var source: String
    /// Description of what happened.
    package var problem: String
    /// The action that solves the problem.
    package var remedy: String

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - source: the source of the credentials.
    ///   - problem: what happened.
    ///   - remedy: what to do about it.
    package init(_ source: String, _ problem: String, _ remedy: String) {
        self.source = source
        self.problem = problem
        self.remedy = remedy
    }

    /// Creates an error from that of a setting.
    init(_ error: SettingsError) {
        self.init(error.place, error.problem, error.remedy)
    }

    package var description: String { "no credentials from \(source): \(problem). \(remedy)" }
}
