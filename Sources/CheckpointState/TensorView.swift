package import CheckpointCodecs
public import CheckpointFormat

/// A tensor where it lies in memory, the process's or a device's: element type, shape, and a stride in elements per dimension.
///
/// The engine sees a tensor as its row-major bytes (Formats/README.md, Conventions), whatever the strides are.
public struct TensorView: Sendable {
    /// Where the elements lie.
    public let memory: LentMemory
    /// Type of the elements.
    public let type: ElementType
    /// Extents, slowest dimension first; `[]` is a scalar.
    public let shape: [Int]
    /// Distance in elements between neighbours, per dimension; may be negative or zero.
    public let strides: [Int]
    /// Where element (0, ..., 0) lies in `memory`, in bytes.
    public let byteOffset: Int
    /// Size of the row-major tensor in bytes: product(shape) times the element width.
    public let byteCount: Int
    /// Bytes at the end of the shape that lie row-major in memory: all of a contiguous tensor, one row of a column view.
    private let runBytes: Int

    /// A row-major tensor at the start of `memory`.
    /// - Throws: `StateError` if the shape is negative, overflows, or does not fit.
    public init(_ memory: LentMemory, type: ElementType, shape: [Int]) throws(StateError) {
        try self.init(memory, type: type, shape: shape, strides: TensorShape.rowMajorStrides(shape), byteOffset: 0)
    }

    /// A tensor with any strides.
    /// - Throws: `StateError` if the shape is negative, overflows, or an element would lie outside `memory`.
    public init(
        _ memory: LentMemory, type: ElementType, shape: [Int], strides: [Int], byteOffset: Int
    ) throws(StateError) {
        guard let byteCount = TensorShape.byteCount(shape, type), strides.count == shape.count else {
            throw StateError("shape \(shape) with strides \(strides) is not a tensor")
        }
        self.memory = memory
        self.type = type
        self.shape = shape
        self.strides = strides
        self.byteOffset = byteOffset
        self.byteCount = byteCount
        self.runBytes = Self.runBytes(type, shape, strides)
        guard byteCount == 0 || elementsLieInside() else {
            throw StateError("a tensor of shape \(shape), strides \(strides) does not lie in \(memory.byteCount) bytes")
        }
    }

    private static func runBytes(_ type: ElementType, _ shape: [Int], _ strides: [Int]) -> Int {
        guard !shape.contains(0) else { return 0 }
        var run = 1
        for dimension in shape.indices.reversed() {
            guard shape[dimension] == 1 || strides[dimension] == run else { break }
            run *= shape[dimension]
        }
        return run * type.width
    }

    private func elementsLieInside() -> Bool {
        var lowest = byteOffset
        var highest = byteOffset
        for (extent, stride) in zip(shape, strides) where extent > 1 {
            let (step, isStepHuge) = stride.multipliedReportingOverflow(by: type.width)
            let (reach, isReachHuge) = step.multipliedReportingOverflow(by: extent - 1)
            let (end, isEndHuge) = (reach < 0 ? lowest : highest).addingReportingOverflow(reach)
            if isStepHuge || isReachHuge || isEndHuge { return false }
            if reach < 0 { lowest = end } else { highest = end }
        }
        return lowest >= 0 && highest <= memory.byteCount - type.width
    }

    /// The part of this tensor that `shard` is, where it lies.
    package func part(_ shard: ShardDescriptor) throws(StateError) -> TensorView {
        guard shard.lies(inside: shape) else { throw StateError("a shard at \(shard.offset) lies outside \(shape)") }
        var first = 0
        if !shard.extent.contains(0) { first = zip(shard.offset, strides).reduce(0) { $0 + $1.0 * $1.1 } }
        return try TensorView(
            memory, type: type, shape: shard.extent, strides: strides, byteOffset: byteOffset + first * type.width)
    }

    /// Copies row-major bytes `range` to the start of `destination` and hashes them.
    package func capture(_ range: Range<Int>, to destination: MemoryRegion) throws(DeviceError) -> Hash128 {
        precondition(range.upperBound <= byteCount && range.count <= destination.count)
        if range.isEmpty { return destination.prefix(0).hash128 }
        if runBytes == byteCount, memory.device == nil {
            let source = unsafe memory.bytes(byteOffset + range.lowerBound..<byteOffset + range.upperBound)
            return unsafe Hashing.copyAndHash128(from: UnsafeRawBufferPointer(source), to: destination.mutableBytes)
        }
        try transfer(range) { memoryRange, offset throws(DeviceError) in
            try memory.startCopy(memoryRange, to: destination[offset..<offset + memoryRange.count])
        }
        return destination.prefix(range.count).hash128
    }

    /// The hash of row-major bytes `range`, if they lie in one piece in the process's memory.
    package func hash(_ range: Range<Int>) -> Hash128? { contiguousRegion(range)?.hash128 }

    /// Copies `source` to row-major bytes `offset ..< offset + source.count` of the tensor.
    package func restore(_ source: MemoryRegion, at offset: Int) throws(DeviceError) {
        precondition(offset >= 0 && source.count <= byteCount - offset)
        try transfer(offset..<offset + source.count) { memoryRange, position throws(DeviceError) in
            try memory.startFill(at: memoryRange.lowerBound, from: source[position..<position + memoryRange.count])
        }
    }

    /// Starts a copy for each stretch of memory that makes up row-major bytes `range`, and waits for all of them.
    private func transfer(
        _ range: Range<Int>, _ start: (Range<Int>, Int) throws(DeviceError) -> DeviceCopy?
    ) throws(DeviceError) {
        var window = CopyWindow(memory.device)
        do throws(DeviceError) {
            try forEachRun(in: range) { memoryRange, offset throws(DeviceError) in try window.add(start(memoryRange, offset)) }
        } catch {
            // The first failure says what went wrong.
            try? window.finish()
            throw error
        }
        try window.finish()
    }

    /// Where it lies in the process's memory, if in one piece and not on a device.
    package var addresses: Range<UInt>? {
        guard runBytes == byteCount, let start = unsafe memory.start else { return nil }
        let first = UInt(bitPattern: start) + UInt(byteOffset)
        return first..<first + UInt(byteCount)
    }

    /// The region of the host's memory that is row-major bytes `range`, if they lie in one piece.
    package func contiguousRegion(_ range: Range<Int>) -> MemoryRegion? {
        guard runBytes == byteCount, let start = unsafe memory.start, range.upperBound <= byteCount else { return nil }
        return unsafe MemoryRegion(start: start + byteOffset + range.lowerBound, count: range.count, owner: nil)
    }

    /// Calls `body` with each stretch of memory that makes up row-major bytes `range`, and its offset in the range.
    private func forEachRun(
        in range: Range<Int>, _ body: (Range<Int>, Int) throws(DeviceError) -> Void
    ) throws(DeviceError) {
        var position = range.lowerBound
        while position < range.upperBound {
            let inRun = position % runBytes
            let count = min(runBytes - inRun, range.upperBound - position)
            let start = memoryOffset(ofRun: position / runBytes) + inRun
            try body(start..<start + count, position - range.lowerBound)
            position += count
        }
    }

    /// Where run number `run` starts in memory. Runs number through the outer dimensions in row-major order.
    private func memoryOffset(ofRun run: Int) -> Int {
        var elements = run * (runBytes / type.width)
        var offset = 0
        for dimension in shape.indices.reversed() {
            offset += elements % shape[dimension] * strides[dimension]
            elements /= shape[dimension]
        }
        return byteOffset + offset * type.width
    }
}

/// State that cannot be described: the provider's mistake, found before anything is captured.
public struct StateError: Error, CustomStringConvertible, Sendable {
    public let description: String
    package init(_ description: String) { self.description = description }
}
