/// Times such as `2026-11-28T18:15:00Z` (RFC 3339).
enum UTCTime {
    /// Reads a time.
    ///
    /// - Parameter text: the time, with or without a fraction of the second, in UTC or with an
    ///   offset such as `+01:00`.
    /// - Returns: seconds since 1970; nil for any other text.
    static func read(_ text: String) -> Double? {
        var rest = Array(text.utf8.prefix(64))[...]
        guard let year = number(&rest, 4), take("-", &rest), let month = number(&rest, 2),
            take("-", &rest), let day = number(&rest, 2), take("T", &rest) || take("t", &rest),
            let hour = number(&rest, 2), take(":", &rest), let minute = number(&rest, 2),
            take(":", &rest), let second = number(&rest, 2), year >= 1970,
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        if take(".", &rest) { rest = rest.drop { isDigit($0) } }
        guard let offset = offset(&rest), rest.isEmpty else { return nil }
        let days = days(year: year, month: month, day: day)
        return Double(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
    }

    /// Reads `Z` or an offset, in seconds.
    private static func offset(_ rest: inout ArraySlice<UInt8>) -> Int? {
        if take("Z", &rest) || take("z", &rest) { return 0 }
        let sign = take("-", &rest) ? -1 : 1
        if sign == 1, !take("+", &rest) { return nil }
        guard let hour = number(&rest, 2) else { return nil }
        _ = take(":", &rest)
        guard let minute = number(&rest, 2), hour < 24, minute < 60 else { return nil }
        return sign * (hour * 3600 + minute * 60)
    }

    /// Returns the days from 1970-01-01 to a day of the Gregorian calendar. The year is taken to
    /// begin in March, so that the leap day is its last.
    private static func days(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = (shifted / 400, shifted % 400)
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
            - 719_468
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func number(_ rest: inout ArraySlice<UInt8>, _ count: Int) -> Int? {
        let digits = rest.prefix(count)
        guard digits.count == count, digits.allSatisfy(isDigit) else { return nil }
        rest = rest.dropFirst(count)
        return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    private static func take(_ character: Unicode.Scalar, _ rest: inout ArraySlice<UInt8>) -> Bool {
        guard let first = rest.first, UInt32(first) == character.value else { return false }
        rest = rest.dropFirst()
        return true
    }
}
