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

/// Copies elements from their positions in the source to their row-major positions.
@safe
private struct Gather {
    private let source: UnsafeRawBufferPointer
    private let output: UnsafeMutableRawBufferPointer

    init(_ source: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) {
        unsafe self.source = source
        unsafe self.output = output
    }

    /// Copies the elements of one window.
    ///
    /// - Parameters:
    ///   - dimensions: counts and strides, in elements.
    ///   - width: width of an element in bytes.
    func copy(_ dimensions: [StridedLayout.Dimension], _ width: Int) {
        // The innermost loop is the one with the smallest distance between written elements.
        let sorted = dimensions.sorted { $0.outputStride > $1.outputStride }
        switch width {
        case 1: copy(sorted[...], 0, 0, UInt8.self)
        case 2: copy(sorted[...], 0, 0, UInt16.self)
        case 4: copy(sorted[...], 0, 0, UInt32.self)
        case 8: copy(sorted[...], 0, 0, UInt64.self)
        default: copy(sorted[...], 0, 0, UInt128.self)
        }
    }

    private func copy<T: FixedWidthInteger & BitwiseCopyable>(
        _ dimensions: ArraySlice<StridedLayout.Dimension>, _ from: Int, _ to: Int, _: T.Type
    ) {
        guard let first = dimensions.first else { return run(1, from, 0, to, 0, T.self) }
        if dimensions.count == 1 {
            return run(first.count, from, first.sourceStride, to, first.outputStride, T.self)
        }
        for index in 0..<first.count {
            copy(
                dimensions.dropFirst(), from + index * first.sourceStride,
                to + index * first.outputStride, T.self)
        }
    }

    private func run<T: FixedWidthInteger & BitwiseCopyable>(
        _ count: Int, _ from: Int, _ sourceStride: Int, _ to: Int, _ outputStride: Int, _: T.Type
    ) {
        let width = MemoryLayout<T>.size
        let last = (from + (count - 1) * sourceStride, to + (count - 1) * outputStride)
        precondition(unsafe last.0 < source.count / width && last.1 < output.count / width)
        guard var read = unsafe source.baseAddress.map({ unsafe $0 + from * width }),
            var write = unsafe output.baseAddress.map({ unsafe $0 + to * width })
        else { return }
        for _ in 0..<count {
            unsafe write.storeBytes(of: read.loadUnaligned(as: T.self), as: T.self)
            unsafe read += sourceStride * width
            unsafe write += outputStride * width
        }
    }
}
