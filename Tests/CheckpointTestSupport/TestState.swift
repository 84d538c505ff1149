package import CheckpointDevices
internal import CheckpointFormat
internal import CheckpointIO
package import CheckpointState

/// Memory that holds the tensors of a test.
package enum Placement: Sendable, CaseIterable {
    case host
    case device
    /// Every other tensor is on the device.
    case mixed

    /// Allocates tensors in this memory, on a new device if one is needed.
    ///
    /// - Parameters:
    ///   - sizes: size of each tensor in bytes, a multiple of 8.
    ///   - groups: names of groups; tensor i is in group `groups[i % groups.count]`.
    /// - Returns: the tensors, filled with zeros.
    /// - Throws: `DeviceError` if the device cannot be created or is full.
    package func tensors(sizes: [Int], groups: [String] = ["state"]) throws -> TestTensors {
        self == .host
            ? TestTensors(sizes: sizes, groups: groups)
            : try TestTensors(sizes: sizes, groups: groups, on: SimulatedDevice(), isMixed: self == .mixed)
    }
}

/// Tensors of bytes that a test owns and lends to the engine as a trainer does. Changes of tensors
/// on a device are submitted to its stream, and reads wait for the stream.
@safe
package final class TestTensors: StateProvider, @unchecked Sendable {
    package let names: [String]
    package let groups: [String]
    /// The device of the tensors that are not in host memory; nil if all are.
    package let device: SimulatedDevice?
    private let lender: (any TensorDevice)?
    /// Device allocation of each tensor; nil for tensors in host memory.
    private let allocations: [SimulatedAllocation?]
    /// Host memory, with all tensors one after the other.
    private let memory: UnsafeMutableRawPointer
    private let ranges: [Range<Int>]
    private let totalBytes: Int

    /// Allocates tensors in host memory.
    ///
    /// - Parameters:
    ///   - sizes: size of each tensor in bytes, a multiple of 8.
    ///   - groups: names of groups; tensor i is in group `groups[i % groups.count]`.
    package convenience init(sizes: [Int], groups: [String] = ["state"]) { self.init(sizes, groups, nil, nil, sizes.map { _ in nil }) }

    /// Allocates tensors on a device.
    ///
    /// - Parameters:
    ///   - sizes: size of each tensor in bytes, a multiple of 8.
    ///   - groups: names of groups; tensor i is in group `groups[i % groups.count]`.
    ///   - device: the device that holds the memory.
    ///   - isMixed: whether every other tensor stays in host memory.
    ///   - lender: the device to name to the engine, if it is a wrapper; nil means `device`.
    /// - Throws: `DeviceError` if the device is full.
    package convenience init(
        sizes: [Int], groups: [String] = ["state"], on device: SimulatedDevice, isMixed: Bool = false,
        lentBy lender: (any TensorDevice)? = nil
    ) throws {
        let allocations = try sizes.enumerated().map { index, size in
            size == 0 || isMixed && index % 2 == 0 ? nil : try device.allocate(size)
        }
        self.init(sizes, groups, device, lender ?? device, allocations)
    }

    private init(
        _ sizes: [Int], _ groups: [String], _ device: SimulatedDevice?, _ lender: (any TensorDevice)?, _ allocations: [SimulatedAllocation?]
    ) {
        precondition(sizes.allSatisfy { $0 % 8 == 0 })
        names = sizes.indices.map { "tensor.\($0)" }
        self.groups = groups
        self.device = device
        self.lender = lender
        self.allocations = allocations
        var start = 0
        ranges = sizes.map { size in
            defer { start += size }
            return start..<start + size
        }
        totalBytes = max(start, 8)
        unsafe memory = .allocate(byteCount: totalBytes, alignment: 64)
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: totalBytes)
    }

    deinit { unsafe memory.deallocate() }

    package func group(of tensor: Int) -> String { groups[tensor % groups.count] }

    package func describe(to inventory: inout StateInventory) throws {
        for (index, range) in ranges.enumerated() {
            let view = try TensorView(loan(of: index), type: .u64, shape: [range.count / 8])
            inventory.add(tensor: names[index], view, role: .parameter, group: group(of: index))
        }
    }

    private func loan(of tensor: Int) -> LentMemory {
        if let lender, let address = allocations[tensor]?.address {
            return LentMemory(device: lender, address: address, byteCount: ranges[tensor].count, owner: self)
        }
        return unsafe LentMemory(start: hostBytes(of: tensor).baseAddress, byteCount: ranges[tensor].count, owner: self)
    }

    private func hostBytes(of tensor: Int) -> UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: memory + ranges[tensor].lowerBound, count: ranges[tensor].count)
    }

    // MARK: Changing

    /// Writes `value` into every element of tensors.
    ///
    /// - Parameters:
    ///   - value: the new value.
    ///   - group: group of the tensors; nil means all tensors.
    package func fill(_ value: UInt64, group: String? = nil) {
        for index in ranges.indices where group == nil || group == self.group(of: index) { fill(value, tensor: index) }
    }

    /// Writes `value` into every element of one tensor.
    ///
    /// - Parameters:
    ///   - value: the new value.
    ///   - tensor: index of the tensor.
    package func fill(_ value: UInt64, tensor: Int) { set(tensor, [UInt64](repeating: value, count: ranges[tensor].count / 8)) }

    /// Fills all tensors with values that depend on position and seed, so that no two blocks are
    /// equal.
    ///
    /// - Parameter seed: seed of the values.
    package func fillPattern(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        for (index, range) in ranges.enumerated() { set(index, (0..<range.count / 8).map { _ in random.next() }) }
    }

    private func set(_ tensor: Int, _ words: [UInt64]) {
        guard let address = allocations[tensor]?.address else {
            return unsafe words.withUnsafeBytes { unsafe hostBytes(of: tensor).copyMemory(from: $0) }
        }
        let bytes = unsafe words.withUnsafeBytes { unsafe Array($0) }
        device?.submit { try $0.write(bytes, at: address) }
    }

    package var wordCount: Int { totalBytes / 8 }

    /// Returns the number of a tensor's first element among the elements of all tensors.
    ///
    /// - Parameter tensor: index of the tensor.
    package func firstWord(of tensor: Int) -> Int { ranges[tensor].lowerBound / 8 }

    /// Writes one element of the host memory.
    ///
    /// - Parameters:
    ///   - value: the new value.
    ///   - word: number of the element among the elements of all tensors.
    package func write(_ value: UInt64, atWord word: Int) {
        precondition((0..<wordCount).contains(word))
        unsafe memory.storeBytes(of: value, toByteOffset: word * 8, as: UInt64.self)
    }

    // MARK: Reading

    /// The distinct elements of all tensors.
    package var distinctValues: Set<UInt64> {
        device?.synchronize()
        var values: Set<UInt64> = []
        for tensor in ranges.indices {
            unsafe bytes(of: tensor).withUnsafeBytes { bytes in
                var last: UInt64?
                for unsafe word in unsafe bytes.bindMemory(to: UInt64.self) where word != last {
                    values.insert(word)
                    last = word
                }
            }
        }
        return values
    }

    /// The bytes of all tensors, one after the other.
    package var bytes: [UInt8] {
        device?.synchronize()
        return ranges.indices.reduce(into: []) { $0 += bytes(of: $1) }
    }

    /// The bytes of one tensor.
    package func bytes(of tensor: Int) -> [UInt8] {
        guard let address = allocations[tensor]?.address, let device else { return unsafe Array(hostBytes(of: tensor)) }
        do { return try device.memory.read(ranges[tensor].count, at: address) } catch { preconditionFailure("\(error)") }
    }
}

/// A value shared with the engine's closures.
package final class Box<Value: Sendable>: Sendable {
    private let storage: Monitor<Value>

    package init(_ value: Value) { storage = Monitor(value, rank: .unchecked) }

    package var value: Value {
        get { storage.withLock { $0 } }
        set { storage.withLock { $0 = newValue } }
    }

    /// Changes the value; other threads see it before or after the change.
    ///
    /// - Parameter body: runs on the calling thread, under the lock.
    package func withLock(_ body: (inout Value) -> Void) { storage.withLock { body(&$0) } }
}
