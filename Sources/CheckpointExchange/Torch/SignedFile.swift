internal import CheckpointFormat
internal import CheckpointState

/// A tensor whose file holds other signs than it has: PyTorch conjugates and negates lazily, and
/// saves the bytes as they are, with a mark. The signs are changed while the bytes are read.
final class SignedFile: FileDevice {
    /// Marks on a tensor.
    struct Marks: Equatable {
        /// The sign of every number is the opposite.
        var isNegative = false
        /// The sign of every imaginary part is the opposite, once more.
        var isConjugate = false
    }

    private let view: TensorView
    private let part: ElementType
    /// True if the sign of the real part, and of the imaginary part, must be inverted.
    private let changes: (real: Bool, imaginary: Bool)

    /// Wraps a tensor.
    ///
    /// - Parameters:
    ///   - view: a row-major tensor in a file.
    ///   - marks: its marks.
    /// - Returns: nil if the marks are not possible for elements of this type.
    init?(_ view: TensorView, _ marks: Marks) {
        let isComplex = view.type.complexPart != nil
        part = view.type.complexPart ?? view.type
        guard isComplex || !marks.isConjugate, [.f64, .f32, .f16, .bf16].contains(part) else {
            return nil
        }
        self.view = view
        let imaginary = isComplex ? marks.isNegative != marks.isConjugate : marks.isNegative
        changes = (marks.isNegative, imaginary)
    }

    func lend() throws(StateError) -> TensorView {
        let memory = LentMemory(
            device: self, address: DeviceAddress(rawValue: 0), byteCount: view.byteCount)
        return try TensorView(memory, type: view.type, shape: view.shape)
    }

    // MARK: TensorDevice

    var name: String { view.memory.device?.name ?? "" }

    func startCopy(
        from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        guard let file = view.memory.device, let start = view.memory.deviceAddress else {
            preconditionFailure("foreign tensors lie in files")
        }
        let offset = Int(address.rawValue)
        _ = unsafe try file.startCopy(
            from: start.advanced(by: view.byteOffset + offset), to: destination)
        // The sign is the highest bit of the last byte of each part.
        let width = part.width
        for index in stride(from: width - 1 - offset % width, to: destination.count, by: width) {
            let isImaginary = (offset + index) / width % 2 == 1 && view.type.complexPart != nil
            if isImaginary ? changes.imaginary : changes.real { unsafe destination[index] ^= 0x80 }
        }
        return DeviceCopy(id: 0)
    }

    func startCopy(
        from source: UnsafeRawBufferPointer, to address: DeviceAddress
    ) throws(DeviceError) -> DeviceCopy {
        throw DeviceError("\(name) is open only for reading")
    }
}
