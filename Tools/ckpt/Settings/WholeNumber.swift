import ArgumentParser

/// A whole number on the command line, refused with the range that is allowed.
enum WholeNumber {
    /// Returns what converts an argument to a number.
    ///
    /// - Parameter lowest: the smallest number that is allowed.
    static func from(_ lowest: Int) -> @Sendable (String) throws -> Int {
        { text in
            guard let number = Int(text), number >= lowest else {
                throw ValidationError("not a whole number from \(lowest) to \(Int.max)")
            }
            return number
        }
    }
}
