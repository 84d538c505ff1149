internal import CheckpointFormat
internal import CheckpointState

/// A tensor that a file stores in another than row-major order (a transposed matrix, channels
/// last), lent in row-major order: large pieces of the file are read in file order, and their
/// elements are copied to their row-major positions.
final class StridedFile: FileDevice {
    private let memory: FileMemory
    private let layout: StridedLayout

    init(_ memory: FileMemory, _ layout: StridedLayout) {
        self.memory = memory
        self.layout = layout
    }

    func lend() throws(StateError) -> TensorView {
        let bytes = TensorShape.byteCount(layout.shape, layout.type) ?? 0
        let memory = LentMemory(device: self, address: DeviceAddress(rawValue: 0), byteCount: bytes)
        return try TensorView(memory, type: layout.type, shape: layout.shape)
    }

    // MARK: TensorDevice

    var name: String { memory.file.name }

    func startCopy(from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer)
        throws(DeviceError) -> DeviceCopy
    {
        let width = layout.type.width
        let start = Int(address.rawValue)
        // Chunks begin and end at element boundaries, because their size is a multiple of every
        // width.
        precondition(start % width == 0 && destination.count % width == 0)
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: StridedLayout.windowBytesMax, alignment: 16)
        defer { unsafe buffer.deallocate() }
        let elements = start / width..<(start + destination.count) / width
        try layout.forEachWindow(in: elements) { window throws(DeviceError) in
            let place = memory.range.lowerBound + layout.byteOffset + window.source * width
            let source = unsafe UnsafeMutableRawBufferPointer(
                rebasing: buffer[..<(window.span * width)])
            _ = unsafe try memory.file.startCopy(
                from: DeviceAddress(rawValue: UInt64(place)), to: source)
            let output = unsafe UnsafeMutableRawBufferPointer(
                rebasing: destination[((window.output - elements.lowerBound) * width)...])
            unsafe Gather(UnsafeRawBufferPointer(source), output).copy(window.dimensions, width)
        }
        return DeviceCopy(id: 0)
    }

    func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress)
        throws(DeviceError) -> DeviceCopy
    {
        throw DeviceError("\(name) is open for reading only")
    }
}
