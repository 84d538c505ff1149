package import CheckpointDevices
internal import CheckpointFormat
internal import CheckpointIO
package import CheckpointState

/// Where the tensors of a test live.
package enum Placement: Sendable, CaseIterable {
    case host
    case device
    /// Every other tensor on the device.
    case mixed

    /// Tensors there, on a device of their own if they need one.
    package func tensors(sizes: [Int], groups: [String] = ["state"]) throws -> TestTensors {
        self == .host
            ? TestTensors(sizes: sizes, groups: groups)
            : try TestTensors(sizes: sizes, groups: groups, on: SimulatedDevice(), isMixed: self == .mixed)
    }
}

/// Tensors of bytes owned by a test, lent to the engine like a trainer's. What changes those on a device is submitted to its stream, and
/// what reads them waits for it.
@safe
package final class TestTensors: StateProvider, @unchecked Sendable {
    @safe
    private enum Place {
        case host(UnsafeMutableRawBufferPointer)
        case device(SimulatedAllocation)
    }

    package let names: [String]
    package let groups: [String]
    /// Where those live that are not in the host's memory.
    package let device: SimulatedDevice?
    private let lender: (any Device)?
    private let places: [Place]
    private let sizes: [Int]

    /// - Parameter sizes: number of bytes of each tensor, a multiple of 8; tensor i is in group `groups[i % groups.count]`.
    package convenience init(sizes: [Int], groups: [String] = ["state"]) {
        self.init(sizes, groups, nil, nil, sizes.map { unsafe .host(Self.zeros($0)) })
    }

    /// - Parameters:
    ///   - isMixed: leaves every other tensor in the host's memory.
    ///   - lender: what the engine is told that the device is.
    package convenience init(
        sizes: [Int], groups: [String] = ["state"], on device: SimulatedDevice, isMixed: Bool = false, lentBy lender: (any Device)? = nil
    ) throws {
        self.init(
            sizes, groups, device, lender ?? device,
            try sizes.enumerated().map { index, size in
                unsafe isMixed && index % 2 == 0 || size == 0 ? .host(Self.zeros(size)) : .device(try device.allocate(size))
            })
    }

    private init(_ sizes: [Int], _ groups: [String], _ device: SimulatedDevice?, _ lender: (any Device)?, _ places: [Place]) {
        precondition(sizes.allSatisfy { $0 % 8 == 0 })
        names = sizes.indices.map { "tensor.\($0)" }
        self.groups = groups
        self.device = device
        self.lender = lender
        self.sizes = sizes
        self.places = places
    }

    private static func zeros(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
        return unsafe memory
    }

    deinit {
        for place in places {
            if case .host(let memory) = place { unsafe memory.deallocate() }
        }
    }

    package func group(of tensor: Int) -> String { groups[tensor % groups.count] }

    package func describe(to inventory: inout StateInventory) throws {
        for (index, size) in sizes.enumerated() {
            let view = try TensorView(loan(of: index), type: .u64, shape: [size / 8])
            inventory.add(tensor: names[index], view, role: .parameter, group: group(of: index))
        }
    }

    private func loan(of index: Int) -> LentMemory {
        switch places[index] {
        case .host(let memory): return unsafe LentMemory(start: memory.baseAddress, byteCount: memory.count, owner: self)
        case .device(let allocation):
            guard let lender else { preconditionFailure("no device") }
            return LentMemory(device: lender, address: allocation.address, byteCount: allocation.byteCount, owner: self)
        }
    }

    /// Writes `value` into every element of the tensors of `group`, or of all.
    package func fill(_ value: UInt64, group: String? = nil) {
        for index in sizes.indices where group == nil || group == self.group(of: index) { fill(value, tensor: index) }
    }

    /// Writes `value` into every element of one tensor.
    package func fill(_ value: UInt64, tensor: Int) { set(tensor, [UInt64](repeating: value, count: sizes[tensor] / 8)) }

    /// Fills everything with bytes that depend on position and `seed`, so that no two blocks are equal.
    package func fillPattern(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        for index in sizes.indices { set(index, (0..<sizes[index] / 8).map { _ in random.next() }) }
    }

    private func set(_ tensor: Int, _ words: [UInt64]) {
        switch places[tensor] {
        case .host(let memory): unsafe words.withUnsafeBytes { unsafe memory.copyMemory(from: $0) }
        case .device(let allocation):
            let bytes = unsafe words.withUnsafeBytes { unsafe Array($0) }
            device?.submit { [address = allocation.address] in try $0.write(bytes, at: address) }
        }
    }

    /// The distinct elements of everything.
    package var distinctValues: Set<UInt64> {
        device?.synchronize()
        var values: Set<UInt64> = []
        for tensor in sizes.indices {
            unsafe bytes(ofTensor: tensor).withUnsafeBytes { bytes in
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
        return sizes.indices.reduce(into: []) { $0 += bytes(ofTensor: $1) }
    }

    private func bytes(ofTensor index: Int) -> [UInt8] {
        switch places[index] {
        case .host(let memory): return unsafe Array(memory)
        case .device(let allocation):
            do { return try device?.memory.read(allocation.byteCount, at: allocation.address) ?? [] } catch {
                preconditionFailure("\(error)")
            }
        }
    }
}

/// A value shared with the engine's closures.
package final class Box<Value: Sendable>: Sendable {
    private let storage: Monitor<Value>

    package init(_ value: Value) { storage = Monitor(value) }

    package var value: Value {
        get { storage.withLock { $0 } }
        set { storage.withLock { $0 = newValue } }
    }
}
