import ArgumentParser

/// A whole number on the command line, refused with the range that is allowed.
enum WholeNumber {
    /// Returns what converts an argument to a number.
    ///
    /// - Parameters:
    ///   - lowest: the smallest number that is allowed.
    ///   - highest: the largest.
    static func from(
        _ lowest: Int, to highest: Int = .max
    ) -> @Sendable (String) throws -> Int {
        { text in
            guard let number = Int(text), (lowest...highest).contains(number) else {
                throw ValidationError("not a whole number from \(lowest) to \(highest)")
            }
            return number
        }
    }
}
