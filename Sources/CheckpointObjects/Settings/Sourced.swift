/// A setting, and where it was found.
package struct Sourced<Value: Sendable>: Sendable, CustomStringConvertible {
    package var value: Value
    /// The place for people: "AWS_REGION", "profile dev in ~/.aws/config", "default".
    package var source: String

    /// Creates a setting.
    ///
    /// - Parameters:
    ///   - value: the setting.
    ///   - source: where it was found.
    package init(_ value: Value, source: String) {
        self.value = value
        self.source = source
    }

    package var description: String { "\(value) (\(source))" }
}

extension Sourced: Equatable where Value: Equatable {}
