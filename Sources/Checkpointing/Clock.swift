internal import Foundation

/// Wall-clock time, for people; durations are measured with `ContinuousClock`.
enum Clock {
    /// Milliseconds since 1970-01-01 UTC.
    static var milliseconds: Int { Int(Date().timeIntervalSince1970 * 1000) }
}
