package import CheckpointCodecs
public import CheckpointFormat

/// A tensor in memory of the process or of a device: element type, shape, and a stride in elements
/// per dimension.
///
/// The engine sees a tensor as its row-major bytes (Formats/README.md, Conventions), whatever the
/// strides are.
public struct TensorView: Sendable {
    /// The memory that holds the elements.
    public let memory: LentMemory
    /// Type of the elements.
    public let type: ElementType
    /// Extents, slowest dimension first; `[]` is a scalar.
    public let shape: [Int]
    /// Distance in elements between neighbours, per dimension; may be negative or zero.
    public let strides: [Int]
    /// Offset of element (0, ..., 0) in `memory`, in bytes.
    public let byteOffset: Int
    /// Size of the row-major tensor in bytes.
    public let byteCount: Int
    /// Size in bytes of the longest trailing part of the shape that is row-major in memory: all of
    /// a contiguous tensor, one row of a column view.
    private let runBytes: Int

    /// Views a row-major tensor at the start of `memory`.
    ///
    /// - Parameters:
    ///   - memory: the memory that holds the elements.
    ///   - type: type of the elements.
    ///   - shape: extents in elements, slowest dimension first; `[]` is a scalar.
    /// - Throws: `StateError` if the shape is negative, overflows, or does not fit.
    public init(_ memory: LentMemory, type: ElementType, shape: [Int]) throws(StateError) {
        try self.init(
            memory, type: type, shape: shape, strides: TensorShape.rowMajorStrides(shape),
            byteOffset: 0)
    }

    /// Views a tensor with any strides.
    ///
    /// - Parameters:
    ///   - memory: the memory that holds the elements.
    ///   - type: type of the elements.
    ///   - shape: extents in elements, slowest dimension first; `[]` is a scalar.
    ///   - strides: distance in elements between neighbours, one per dimension; may be negative or
    ///     zero.
    ///   - byteOffset: offset of element (0, ..., 0) in `memory`, in bytes.
    /// - Throws: `StateError` if the shape is negative, overflows, or an element would be outside
    ///   `memory`; of a packed type also if the strides split a byte.
    public init(
        _ memory: LentMemory, type: ElementType, shape: [Int], strides: [Int], byteOffset: Int
    ) throws(StateError) {
        guard let byteCount = TensorShape.byteCount(shape, type), strides.count == shape.count
        else {
            throw StateError("shape \(shape) with strides \(strides) is not a tensor of \(type)")
        }
        self.memory = memory
        self.type = type
        self.shape = shape
        self.strides = strides
        self.byteOffset = byteOffset
        self.byteCount = byteCount
        let run = Self.runElements(shape, strides)
        guard run.elements % type.elementsPerUnit == 0,
            shape.indices.prefix(run.firstDimension).allSatisfy({
                strides[$0] % type.elementsPerUnit == 0
            })
        else { throw StateError("strides \(strides) of shape \(shape) split a byte of \(type)") }
        runBytes = type.bytes(ofElements: run.elements)
        guard byteCount == 0 || elementsLieInside() else {
            throw StateError(
                "a tensor of shape \(shape), strides \(strides) does not fit in \(memory.byteCount) bytes"
            )
        }
    }

    /// Returns the number of elements in the longest trailing part of the shape that is row-major
    /// in memory, and the first dimension of that part.
    private static func runElements(_ shape: [Int], _ strides: [Int]) -> (
        elements: Int, firstDimension: Int
    ) {
        guard !shape.contains(0) else { return (0, 0) }
        var run = (elements: 1, firstDimension: shape.count)
        for dimension in shape.indices.reversed() {
            guard shape[dimension] == 1 || strides[dimension] == run.elements else { break }
            run = (run.elements * shape[dimension], dimension)
        }
        return run
    }

    private func elementsLieInside() -> Bool {
        var (lowest, highest) = (0, 0)
        for (extent, stride) in zip(shape, strides) where extent > 1 {
            let (reach, isReachHuge) = stride.multipliedReportingOverflow(by: extent - 1)
            let (end, isEndHuge) = (reach < 0 ? lowest : highest).addingReportingOverflow(reach)
            if isReachHuge || isEndHuge { return false }
            if reach < 0 { lowest = end } else { highest = end }
        }
        guard let first = offset(ofElement: lowest), let last = offset(ofElement: highest) else {
            return false
        }
        return first >= 0 && last <= memory.byteCount - type.width
    }

    /// Returns the offset in memory of the unit that holds an element; nil if it overflows.
    private func offset(ofElement element: Int) -> Int? {
        let (bytes, isProductHuge) = (element / type.elementsPerUnit).multipliedReportingOverflow(
            by: type.width)
        let (offset, isSumHuge) = byteOffset.addingReportingOverflow(bytes)
        return isProductHuge || isSumHuge ? nil : offset
    }

    /// Views a shard of this tensor, without copying.
    ///
    /// - Parameter shard: offset and extent of the shard, in elements per dimension.
    /// - Returns: a view of the same memory.
    /// - Throws: `StateError` if the shard is not inside the tensor's shape.
    package func part(_ shard: ShardDescriptor) throws(StateError) -> TensorView {
        guard shard.lies(inside: shape) else {
            throw StateError("a shard at \(shard.offset) is outside shape \(shape)")
        }
        var first = 0
        if !shard.extent.contains(0) {
            first = zip(shard.offset, strides).reduce(0) { $0 + $1.0 * $1.1 }
        }
        guard first % type.elementsPerUnit == 0 else {
            throw StateError("a shard at \(shard.offset) splits a byte of \(type)")
        }
        return try TensorView(
            memory, type: type, shape: shard.extent, strides: strides,
            byteOffset: byteOffset + type.bytes(ofElements: first))
    }

    /// Copies row-major bytes to the start of `destination` and hashes them. Waits for the copies
    /// of a device.
    ///
    /// - Parameters:
    ///   - range: row-major bytes of the tensor.
    ///   - destination: memory of the process, at least as large as `range`.
    /// - Returns: the 128-bit hash of the bytes.
    /// - Throws: `DeviceError` if a copy failed; no copy is in flight then.
    package func capture(_ range: Range<Int>, to destination: MemoryRegion) throws(DeviceError)
        -> Hash128
    {
        precondition(range.upperBound <= byteCount && range.count <= destination.count)
        if range.isEmpty { return destination.prefix(0).hash128 }
        if runBytes == byteCount, memory.device == nil {
            let source = unsafe memory.bytes(
                byteOffset + range.lowerBound..<byteOffset + range.upperBound)
            return unsafe Hashing.copyAndHash128(
                from: UnsafeRawBufferPointer(source), to: destination.mutableBytes)
        }
        try transfer(range) { memoryRange, offset throws(DeviceError) in
            try memory.startCopy(memoryRange, to: destination[offset..<offset + memoryRange.count])
        }
        return destination.prefix(range.count).hash128
    }

    /// Hashes row-major bytes in place.
    ///
    /// - Parameter range: row-major bytes of the tensor.
    /// - Returns: the 128-bit hash; nil if the tensor is not contiguous in the process's memory.
    package func hash(_ range: Range<Int>) -> Hash128? { contiguousRegion(range)?.hash128 }

    /// Copies `source` into the tensor. Waits for the copies of a device.
    ///
    /// - Parameters:
    ///   - source: row-major bytes to write.
    ///   - offset: offset of the first byte in the row-major bytes of the tensor.
    /// - Throws: `DeviceError` if a copy failed; no copy is in flight then.
    package func restore(_ source: MemoryRegion, at offset: Int) throws(DeviceError) {
        precondition(offset >= 0 && source.count <= byteCount - offset)
        try transfer(offset..<offset + source.count) { memoryRange, position throws(DeviceError) in
            try memory.startFill(
                at: memoryRange.lowerBound, from: source[position..<position + memoryRange.count])
        }
    }

    /// Copies elements of `source` into the tensor. Waits for the copies of a device.
    ///
    /// - Parameters:
    ///   - source: whole elements; no copy splits a byte of them.
    ///   - copies: copies from the elements of `source` to the row-major elements of the tensor.
    /// - Throws: `DeviceError` if a copy failed; no copy is in flight then.
    package func restore(
        _ source: MemoryRegion, _ copies: [StridedCopy]
    ) throws(DeviceError) {
        for copy in copies {
            try copy.forEachRun { run throws(DeviceError) in
                let start = type.bytes(ofElements: run.source)
                let bytes = start..<start + type.bytes(ofElements: run.count)
                try restore(source[bytes], at: type.bytes(ofElements: run.destination))
            }
        }
    }

    /// Starts a copy for each contiguous run of memory in row-major bytes `range`, and waits for
    /// all of them.
    private func transfer(
        _ range: Range<Int>, _ start: (Range<Int>, Int) throws(DeviceError) -> DeviceCopy?
    ) throws(DeviceError) {
        var window = CopyWindow(memory.device)
        do throws(DeviceError) {
            try forEachRun(in: range) { memoryRange, offset throws(DeviceError) in
                try window.add(start(memoryRange, offset))
            }
        } catch {
            // The first failure is the cause; later ones are dropped.
            try? window.finish()
            throw error
        }
        try window.finish()
    }

    /// Addresses of the tensor in the process's memory; nil if it is not contiguous or on a device.
    package var addresses: Range<UInt>? {
        guard runBytes == byteCount, let start = unsafe memory.start else { return nil }
        let first = UInt(bitPattern: start) + UInt(byteOffset)
        return first..<first + UInt(byteCount)
    }

    /// Returns row-major bytes as a region of the process's memory.
    ///
    /// - Parameter range: row-major bytes of the tensor.
    /// - Returns: the region; nil if the tensor is not contiguous, is on a device, or is smaller
    ///   than `range`.
    package func contiguousRegion(_ range: Range<Int>) -> MemoryRegion? {
        guard runBytes == byteCount, let start = unsafe memory.start, range.upperBound <= byteCount
        else { return nil }
        return unsafe MemoryRegion(
            start: start + byteOffset + range.lowerBound, count: range.count, owner: nil)
    }

    /// Calls `body` with each contiguous run of memory in row-major bytes `range`, and with its
    /// offset in the range.
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

    /// Returns the offset in memory, in bytes, of a run. Runs are numbered through the outer
    /// dimensions in row-major order.
    private func memoryOffset(ofRun run: Int) -> Int {
        var elements = run * (runBytes / type.width * type.elementsPerUnit)
        var offset = 0
        for dimension in shape.indices.reversed() {
            offset += elements % shape[dimension] * strides[dimension]
            elements /= shape[dimension]
        }
        return byteOffset + type.bytes(ofElements: offset)
    }
}
