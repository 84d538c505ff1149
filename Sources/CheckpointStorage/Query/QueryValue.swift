/// Syntax of the values in conditions. Pure functions.
package enum QueryValue {
    static func parse(_ text: String, _ kind: CheckpointKey.Kind) -> CheckpointQuery.Value? {
        switch kind {
        case .text: .text(text)
        case .number: number(text).map { .number($0) }
        case .bytes: (number(text) ?? scaled(text, bytes)).map { .number($0) }
        case .duration: seconds(text).map { .number($0) }
        case .moment: moment(text).map { .number($0) }
        }
    }

    static func expectation(_ kind: CheckpointKey.Kind) -> String {
        switch kind {
        case .text: "text"
        case .number: "a number"
        case .bytes: "a size (1000, 1.5GB, 20MiB)"
        case .duration: "a duration (90s, 15m, 36h, 7d, 2w)"
        case .moment: "a time in UTC (2026-01-31, 2026-01-31T12:00, 2026-01-31T12:00:00Z)"
        }
    }

    /// Returns the seconds of a duration such as `36h` (units s, m, h, d, w); nil if the text is
    /// not a duration.
    package static func seconds(_ text: String) -> Double? { scaled(text, ["s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800]) }

    private static let bytes: [String: Double] = [
        "": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
        "KiB": 1024, "MiB": 1_048_576, "GiB": 1_073_741_824, "TiB": 1_099_511_627_776,
    ]

    private static func scaled(_ text: String, _ units: [String: Double]) -> Double? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let value = Double(digits), let unit = units[String(text[digits.endIndex...])] else { return nil }
        return value * unit
    }

    /// Parses a number as people write it: not in hexadecimal, which `Double` would accept.
    private static func number(_ text: String) -> Double? {
        switch text {
        case "true": 1
        case "false": 0
        case "nan": .nan
        case "inf": .infinity
        case "-inf": -.infinity
        default: text.allSatisfy { "0123456789+-.eE".contains($0) } ? Double(text) : nil
        }
    }

    /// Parses a date, with or without a time of day, in UTC; returns seconds since 1970.
    private static func moment(_ text: String) -> Double? {
        let parts = (text.hasSuffix("Z") ? text.dropLast() : text[...]).split(separator: "T", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let day = days(parts[0]) else { return nil }
        guard parts.count == 2 else { return text.hasSuffix("Z") ? nil : day * 86400 }
        guard let clock = fields(parts[1], ":", [24, 60, 60]), clock.count >= 2 else { return nil }
        return zip(clock, [3600.0, 60, 1]).reduce(day * 86400) { $0 + Double($1.0) * $1.1 }
    }

    /// Parses a date; returns days since 1970 in the Gregorian calendar. The year begins in March
    /// in this computation, so that the leap day is its last.
    private static func days(_ text: Substring) -> Double? {
        guard let date = fields(text, "-", [10_000, 13, 32]), date.count == 3, date[1] >= 1, date[2] >= 1,
            date[2] <= length(ofMonth: date[1], date[0])
        else { return nil }
        let year = date[1] > 2 ? date[0] : date[0] - 1
        let month = (date[1] + 9) % 12
        return Double(365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + date[2] - 1 - 719_468)
    }

    private static func length(ofMonth month: Int, _ year: Int) -> Int {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    private static func fields(_ text: Substring, _ separator: Character, _ limits: [Int]) -> [Int]? {
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        guard parts.count <= limits.count else { return nil }
        let numbers = parts.map { part in part.allSatisfy { $0.isASCII && $0.isNumber } ? Int(part) : nil }
        let checked = zip(numbers, limits).compactMap { number, limit in number.flatMap { $0 < limit ? $0 : nil } }
        return checked.count == parts.count ? checked : nil
    }
}
