package import CheckpointFormat

/// A tensor as a safetensors file describes it.
package struct SafetensorsTensor: Sendable {
    package var name: String
    /// Name of the element type in safetensors.
    package var type: String
    package var shape: [Int]
    /// Size in bytes.
    package var byteCount: Int
    /// True if safetensors does not have the element type: the tensor is written as bytes, `U8`.
    package var isBytes = false

    /// Describes a tensor. One of a type that safetensors does not have becomes bytes: a packed
    /// type flat, any other with the bytes of an element as the last dimension.
    ///
    /// - Parameters:
    ///   - name: name in the file.
    ///   - type: type of the elements.
    ///   - shape: extents in elements.
    package init(_ name: String, _ type: ElementType, _ shape: [Int]) {
        self.name = name
        byteCount = TensorShape.byteCount(shape, type) ?? 0
        if let known = type.safetensorsName {
            (self.type, self.shape) = (known, shape)
        } else {
            (self.type, isBytes) = ("U8", true)
            self.shape =
                type.elementsPerUnit > 1
                ? [byteCount] : shape + (type.width > 1 ? [type.width] : [])
        }
    }

    /// Describes a tensor of a type that is known by name only.
    ///
    /// - Parameters:
    ///   - name: name in the file.
    ///   - type: name of the element type.
    ///   - shape: extents in elements.
    ///   - byteCount: size in bytes.
    package init(_ name: String, named type: String, _ shape: [Int], byteCount: Int) {
        (self.name, self.type, self.shape, self.byteCount) = (name, type, shape, byteCount)
    }
}
