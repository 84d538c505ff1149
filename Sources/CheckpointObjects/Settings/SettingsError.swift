/// A setting that cannot be used. It names the variable, or the file and the line, and never shows
/// a value, which may be a secret.
package struct SettingsError: Error, Equatable, CustomStringConvertible {
    /// The variable, or the file and the line.
    package var place: String
    /// The problem with the setting.
    package var problem: String
    /// The action that solves the problem.
    package var remedy: String

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - place: the variable, or the file and the line.
    ///   - problem: what is wrong there.
    ///   - remedy: what to do about it.
    package init(_ place: String, _ problem: String, _ remedy: String) {
        self.place = place
        self.problem = problem
        self.remedy = remedy
    }

    package var description: String { "\(place): \(problem). \(remedy)" }
}
