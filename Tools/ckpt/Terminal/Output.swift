internal import CheckpointInterchange
internal import CheckpointMaintenance
internal import CheckpointStorage
import Checkpointing
import Foundation
import Synchronization
import SystemPackage

/// Everything that `ckpt` prints. Names come from untrusted files, so control characters are
/// escaped: a terminal would execute them.
enum Output {
    /// Buffered until the verb has ended, so that an error leaves no incomplete output.
    private static let held = Mutex("")
    private static let chosen = Mutex(OutputSettings())

    /// Settings of the output.
    static var settings: OutputSettings {
        get { chosen.withLock { $0 } }
        set { chosen.withLock { $0 = newValue } }
    }

    /// Prints a line of text.
    static func line(_ text: String = "") { raw(visible(text)) }

    /// Prints several lines of text.
    static func lines(_ text: String) { raw(visible(text, lineFeeds: true)) }

    /// Prints a JSON value on one line.
    static func json(_ value: JSONValue) { raw(encoded(value)) }

    private static func raw(_ line: String) { held.withLock { $0 += line + "\n" } }

    /// Writes what was printed.
    static func flush() throws(CheckpointError) {
        let text = held.withLock { text in
            defer { text = "" }
            return text
        }
        try send(text.utf8)
    }

    /// Discards the buffered output.
    static func drop() { held.withLock { $0 = "" } }

    /// One line of JSON in which nothing can move a cursor.
    static func encoded(_ value: JSONValue) -> String { value.safeText }

    static func warn(_ message: String) {
        if !settings.isQuiet { complain("warning: \(message)") }
    }

    /// Prints a detail, only with `--verbose`.
    static func detail(_ message: String) {
        if settings.isVerbose { complain(message) }
    }

    /// Writes bytes to standard output as they are.
    static func write(_ bytes: some Sequence<UInt8>) throws(CheckpointError) { try send(bytes) }

    private static func send(_ bytes: some Sequence<UInt8>) throws(CheckpointError) {
        do { _ = try FileDescriptor.standardOutput.writeAll(bytes) } catch {
            let errno = error as? Errno ?? .ioError
            throw CheckpointError(
                "cannot write to standard output", writing: "standard output", errno)
        }
    }

    static func complain(_ message: String) {
        ProgressLine.clear()
        tell("ckpt: \(visible(message))\n")
    }

    /// Writes to standard error. If that fails, the failure cannot be reported; the exit code stays the same.
    static func tell(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }

    /// Text with every invisible or control character written as `\u{...}`.
    static func visible(_ text: String, lineFeeds: Bool = false) -> String {
        SafeText.escape(text) { scalar in
            lineFeeds && scalar == "\n"
                ? "\n" : "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
        }
    }

    /// A size in binary units: `4.0 KiB`.
    static func size(_ bytes: Int) -> String { SizeText.of(bytes) }

    static func count(_ count: Int, _ thing: String) -> String {
        "\(count) \(thing)\(count == 1 ? "" : "s")"
    }

    /// The compression ratio: logical size divided by stored size.
    static func ratio(_ logical: Int, _ stored: Int) -> String {
        stored == 0 ? "-" : "\(rounded(Double(logical) / Double(stored), 2))x"
    }

    /// A number with few digits, as people compare them.
    static func figure(_ value: Double) -> String { String(format: "%.4g", value) }

    private static func rounded(_ value: Double, _ digits: Int) -> String {
        String(format: "%.\(digits)f", value)
    }

    /// A time in the local time zone, or with `--utc` in UTC; a manifest may hold any number.
    static func time(_ date: Date) -> String {
        guard (0..<253_402_300_800).contains(date.timeIntervalSince1970) else { return "?" }
        let isUTC = settings.usesUTC
        let style = Date.VerbatimFormatStyle(
            format: """
                \(year: .padded(4))-\(month: .twoDigits)-\(day: .twoDigits) \
                \(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased)):\(minute: .twoDigits):\
                \(second: .twoDigits)
                """,
            timeZone: isUTC ? .gmt : .current, calendar: Calendar(identifier: .gregorian))
        return date.formatted(style) + (isUTC ? "Z" : "")
    }

    static func short(_ identifier: some Identifier) -> String {
        settings.isVerbose ? identifier.description : String(identifier.description.prefix(12))
    }

    static func shape(_ shape: [Int]) -> String {
        "[\(shape.map(String.init).joined(separator: ", "))]"
    }
}
