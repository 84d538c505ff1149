internal import CheckpointFormat
internal import CheckpointState

/// A tensor that lies in a file in another than row-major order (a transposed matrix, channels last), lent row-major: elements are read
/// in the order in which they lie, many at a time, and put where they belong.
final class StridedFile: Device {
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

    // MARK: Device

    var name: String { memory.file.name }
    func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) {}
    func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer) {}
    func orderCopiesAfterTrainer() {}
    func finish(_ copy: DeviceCopy) {}

    func startCopy(from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer) throws(DeviceError) -> DeviceCopy {
        let width = layout.type.width
        let start = Int(address.rawValue)
        // Chunks begin and end with elements: their size is a multiple of every width.
        precondition(start % width == 0 && destination.count % width == 0)
        var buffer = [UInt8](repeating: 0, count: StridedLayout.spanBytesMax + width)
        let elements = start / width..<(start + destination.count) / width
        try layout.forEachRun(in: elements) { run throws(DeviceError) in
            try read(run, to: &buffer)
            unsafe buffer.withUnsafeBytes { source in
                for index in 0..<run.count {
                    let from = unsafe UnsafeRawBufferPointer(rebasing: source[(index * run.sourceStride * width)...].prefix(width))
                    let place = (run.element - elements.lowerBound + index * layout.inner) * width
                    unsafe UnsafeMutableRawBufferPointer(rebasing: destination[place..<place + width]).copyMemory(from: from)
                }
            }
        }
        return DeviceCopy(id: 0)
    }

    private func read(_ run: StridedLayout.Run, to buffer: inout [UInt8]) throws(DeviceError) {
        let width = layout.type.width
        let count = ((run.count - 1) * run.sourceStride + 1) * width
        let address = DeviceAddress(rawValue: UInt64(memory.range.lowerBound + layout.byteOffset + run.source * width))
        let result = unsafe buffer.withUnsafeMutableBytes { bytes -> Result<DeviceCopy, DeviceError> in
            do throws(DeviceError) {
                let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
                return .success(unsafe try memory.file.startCopy(from: address, to: part))
            } catch { return .failure(error) }
        }
        _ = try result.get()
    }

    func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy {
        throw DeviceError("\(name) is open for reading only")
    }
}

/// Where the elements of a strided tensor lie: pure arithmetic.
struct StridedLayout: Sendable {
    let type: ElementType
    let shape: [Int]
    /// In elements, from 0 up.
    private let strides: [Int]
    /// Where element (0, ..., 0) lies, in bytes.
    let byteOffset: Int
    /// The dimension along which elements lie closest together.
    private let nearest: Int
    /// Row-major distance of neighbours in that dimension, in elements.
    let inner: Int

    /// What is read at once, in bytes.
    static let spanBytesMax = 256 << 10

    /// Elements that differ in one index, the nearest.
    struct Run: Equatable {
        /// The first one's row-major number in the tensor.
        var element: Int
        /// Where it lies, in elements from the first.
        var source: Int
        var sourceStride: Int
        var count: Int
    }

    /// - Returns: nil if the tensor is row-major, or has a stride below 0, which no format here can say.
    init?(_ type: ElementType, _ shape: [Int], strides: [Int], byteOffset: Int) {
        let rows = TensorShape.rowMajorStrides(shape)
        let wide = shape.indices.filter { shape[$0] > 1 }
        guard !shape.contains(0), !wide.allSatisfy({ strides[$0] == rows[$0] }), wide.allSatisfy({ strides[$0] >= 0 }),
            let nearest = wide.min(by: { strides[$0] < strides[$1] })
        else { return nil }
        self.type = type
        self.shape = shape
        self.strides = strides
        self.byteOffset = byteOffset
        self.nearest = nearest
        inner = rows[nearest]
    }

    /// Calls `body` with runs that are the row-major elements `range` and no others.
    func forEachRun<E: Error>(in range: Range<Int>, _ body: (Run) throws(E) -> Void) throws(E) {
        guard !range.isEmpty else { return }
        let (extent, stride) = (shape[nearest], strides[nearest])
        let limit = stride * type.width > Self.spanBytesMax ? 1 : max(1, Self.spanBytesMax / max(stride * type.width, 1))
        let block = extent * inner
        for outer in range.lowerBound / block...(range.upperBound - 1) / block {
            for rest in 0..<inner {
                let first = outer * block + rest
                var index = max(0, (range.lowerBound - first + inner - 1) / inner)
                let end = min(extent, (range.upperBound - first + inner - 1) / inner)
                guard index < end else { continue }
                let source = source(of: first)
                while index < end {
                    let count = min(limit, end - index)
                    try body(Run(element: first + index * inner, source: source + index * stride, sourceStride: stride, count: count))
                    index += count
                }
            }
        }
    }

    /// Where an element lies, in elements from the first.
    private func source(of element: Int) -> Int {
        var (rest, source) = (element, 0)
        for dimension in shape.indices.reversed() {
            source += rest % shape[dimension] * strides[dimension]
            rest /= shape[dimension]
        }
        return source
    }
}
