/// The amount and form of what the program prints.
struct OutputSettings: Sendable {
    /// Errors only: no warnings and no progress.
    var isQuiet = false
    /// Causes of errors, full ids, and how long the command took.
    var isVerbose = false
    /// Times in UTC, not in the local time zone.
    var usesUTC = false
}
