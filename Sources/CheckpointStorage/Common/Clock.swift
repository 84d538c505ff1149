internal import Foundation

/// Wall-clock time, for display. Durations are measured with `ContinuousClock`.
package enum Clock {
    /// Milliseconds since 1970-01-01 UTC.
    package static var milliseconds: Int { Int(Date().timeIntervalSince1970 * 1000) }
}
