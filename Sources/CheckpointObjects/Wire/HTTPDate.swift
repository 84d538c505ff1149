internal import Foundation

/// The format of times in HTTP headers: `Sat, 28 Nov 2026 18:15:00 GMT`.
enum HTTPDate {
    /// Reads a time.
    ///
    /// - Parameter text: the header's value.
    /// - Returns: seconds since 1970; nil if the text is no such time.
    static func read(_ text: String) -> Double? {
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        let words = text.split { $0 == " " || $0 == "," || $0 == ":" }.map(String.init)
        guard words.count == 8, let day = Int(words[1]),
            let month = months.firstIndex(of: words[2]),
            let year = Int(words[3]), (1970...9999).contains(year), let hour = Int(words[4]),
            let minute = Int(words[5]), let second = Int(words[6])
        else { return nil }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = DateComponents(
            year: year, month: month + 1, day: day, hour: hour, minute: minute, second: second)
        return calendar.date(from: parts)?.timeIntervalSince1970
    }
}
