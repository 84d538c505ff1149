internal import CheckpointFormat
internal import CheckpointSharding
internal import CheckpointState
internal import CheckpointStorage

/// A tensor of a description without its address: everything that `ckpt_set_pointers` keeps.
struct TensorLayout {
    /// The part of a tensor that a process holds, as the caller describes it.
    struct Shard {
        var shape: [Int]
        var offset: [Int]
        var holders: [Int] = []
    }

    let name: String
    let group: String?
    let role: TensorRole
    /// The part that the memory holds; nil if it holds the complete tensor.
    let shard: TensorShard?
    /// The device that holds the memory; nil for the memory of the process.
    private let device: (any TensorDevice)?
    private let type: ElementType
    private let shape: [Int]
    private let strides: [Int]
    /// Bytes of memory before element (0, ..., 0), and from it on.
    private let reach: (before: Int, after: Int)

    /// Checks a description.
    ///
    /// - Parameters:
    ///   - shape: extents of the memory.
    ///   - strides: strides in elements; nil means row-major.
    ///   - shard: the part that the memory holds; nil means the complete tensor.
    ///   - rank: this one of several processes; nil if it saves alone.
    ///   - device: the device that holds the memory; nil for the memory of the process.
    /// - Throws: code `misuse`.
    init(
        name: String, group: String?, role: TensorRole, type: ElementType, shape: [Int],
        strides: [Int]?, shard: Shard? = nil, rank: Int? = nil,
        device: (any TensorDevice)? = nil
    ) throws(CheckpointError) {
        guard let bytes = TensorShape.byteCount(shape, type) else {
            throw .argument("tensor \"\(name)\": \(shape) is not a valid shape of \(type)")
        }
        self.name = name
        self.group = group
        self.role = role
        self.device = device
        self.type = type
        self.shape = shape
        if let strides, bytes > 0 {
            self.strides = strides
            guard let reach = Self.reach(shape, strides, type) else {
                throw .argument(
                    "tensor \"\(name)\": strides \(strides) of shape \(shape) are too large, "
                        + "or split a byte of \(type)"
                )
            }
            self.reach = reach
        } else {
            self.strides = TensorShape.rowMajorStrides(shape)
            reach = (0, bytes)
        }
        self.shard = try shard.map { given throws(CheckpointError) in
            try Self.shard(given, name, type, shape, rank)
        }
    }

    private static func shard(
        _ given: Shard, _ name: String, _ type: ElementType, _ extent: [Int], _ rank: Int?
    ) throws(CheckpointError) -> TensorShard {
        guard TensorShape.byteCount(given.shape, type) != nil else {
            throw .argument("tensor \"\(name)\": \(given.shape) is not a valid shape of \(type)")
        }
        do throws(ShardingError) {
            let shard = try TensorShard(offset: given.offset, extent: extent, of: given.shape)
            // A process that saves alone saves what others would hold, too.
            guard let rank, !given.holders.isEmpty else { return shard }
            return try shard.held(by: given.holders, on: rank)
        } catch {
            throw .argument("tensor \"\(name)\": \(error)")
        }
    }

    /// Returns a view of the tensor at an address.
    ///
    /// - Parameters:
    ///   - address: address of element (0, ..., 0).
    ///   - loan: lives as long as the view.
    /// - Throws: code `misuse`.
    func view(at address: UInt, loan: Loan?) throws(CheckpointError) -> TensorView {
        let size = reach.before + reach.after
        let (start, isBelow) = address.subtractingReportingOverflow(UInt(reach.before))
        let (_, isAbove) = start.addingReportingOverflow(UInt(size))
        guard size == 0 || (start != 0 && address != 0 && !isBelow && !isAbove) else {
            throw .argument(
                "tensor \"\(name)\": \(size) bytes cannot be at address "
                    + "0x\(String(address, radix: 16))",
                remedy: "Pass the address of the first element")
        }
        let memory: LentMemory
        if let device, size > 0 {
            let first = DeviceAddress(rawValue: UInt64(start))
            memory = LentMemory(device: device, address: first, byteCount: size, owner: loan)
        } else {
            let pointer = size == 0 ? nil : unsafe UnsafeMutableRawPointer(bitPattern: start)
            memory = unsafe LentMemory(start: pointer, byteCount: size, owner: loan)
        }
        return try translating("tensor \"\(name)\"") {
            try TensorView(
                memory, type: type, shape: shape, strides: strides, byteOffset: reach.before)
        }
    }

    /// Returns the bytes of memory before the first element and from it on; nil if they overflow or
    /// elements do not begin at a byte.
    private static func reach(
        _ shape: [Int], _ strides: [Int], _ type: ElementType
    ) -> (before: Int, after: Int)? {
        guard strides.count == shape.count else { return nil }
        var (lowest, highest) = (0, 0)
        for (extent, stride) in zip(shape, strides) where extent > 1 {
            let (distance, isHuge) = stride.multipliedReportingOverflow(by: extent - 1)
            let (end, isTooFar) = (distance < 0 ? lowest : highest).addingReportingOverflow(
                distance)
            if isHuge || isTooFar { return nil }
            if distance < 0 { lowest = end } else { highest = end }
        }
        // A quarter of the address space is more than any machine has.
        let elementsMax = Int.max / 4 / type.width
        guard lowest > -elementsMax, highest < elementsMax, lowest % type.elementsPerUnit == 0
        else {
            return nil
        }
        let before = -lowest / type.elementsPerUnit * type.width
        return (before, highest / type.elementsPerUnit * type.width + type.width)
    }
}
