package import CheckpointFormat
internal import CheckpointState

/// A value of a foreign file that is not a tensor.
package struct ForeignObject: Sendable {
    package var name: String
    package var value: JSONValue

    init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}
