internal import Foundation

/// Sizes in people's units.
package enum SizeText {
    /// Returns a size in binary units, such as `4.0 KiB`.
    ///
    /// - Parameter bytes: the size.
    package static func of(_ bytes: Int) -> String {
        var value = Double(bytes)
        for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
            if value < 1024 { return unit == "B" ? "\(bytes) B" : "\(rounded(value)) \(unit)" }
            value /= 1024
        }
        return "\(rounded(value)) PiB"
    }

    private static func rounded(_ value: Double) -> String { String(format: "%.1f", value) }
}
