package import CheckpointFormat
internal import CheckpointState

/// A value of a foreign file that is not a tensor.
package struct ForeignObject: Sendable {
    package var name: String
    package var value: JSONValue

    /// Name of the object that holds element types and shapes of tensors whose type is unknown
    /// here.
    package static let typesName = "safetensors_types"

    init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}
