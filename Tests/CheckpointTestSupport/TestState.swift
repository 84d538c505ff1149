internal import CheckpointFormat
internal import CheckpointIO
package import CheckpointState

/// Tensors of bytes owned by a test, lent to the engine like a trainer's.
@safe
package final class TestTensors: StateProvider, @unchecked Sendable {
    package let names: [String]
    package let groups: [String]
    private let memory: UnsafeMutableRawPointer
    private let ranges: [Range<Int>]
    private let totalBytes: Int

    /// - Parameter sizes: number of bytes of each tensor, a multiple of 8; tensor i is in group `groups[i % groups.count]`.
    package init(sizes: [Int], groups: [String] = ["state"]) {
        precondition(sizes.allSatisfy { $0 % 8 == 0 })
        names = sizes.indices.map { "tensor.\($0)" }
        self.groups = groups
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
            let loan = unsafe LentMemory(start: memory + range.lowerBound, byteCount: range.count, owner: self)
            let view = try TensorView(loan, type: .u64, shape: [range.count / 8])
            inventory.add(tensor: names[index], view, role: .parameter, group: group(of: index))
        }
    }

    /// Writes `value` into every element of the tensors of `group`, or of all.
    package func fill(_ value: UInt64, group: String? = nil) {
        for (index, range) in ranges.enumerated() where group == nil || group == self.group(of: index) {
            unsafe UnsafeMutableRawBufferPointer(start: memory + range.lowerBound, count: range.count)
                .withMemoryRebound(to: UInt64.self) { unsafe $0.update(repeating: value) }
        }
    }

    package var wordCount: Int { totalBytes / 8 }

    /// The number of the first element of a tensor, among those of all.
    package func firstWord(of tensor: Int) -> Int { ranges[tensor].lowerBound / 8 }

    /// Writes one element.
    package func write(_ value: UInt64, atWord word: Int) {
        precondition((0..<wordCount).contains(word))
        unsafe memory.storeBytes(of: value, toByteOffset: word * 8, as: UInt64.self)
    }

    /// Fills everything with bytes that depend on position and `seed`, so that no two blocks are equal.
    package func fillPattern(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        unsafe UnsafeMutableRawBufferPointer(start: memory, count: totalBytes).withMemoryRebound(to: UInt64.self) { words in
            for index in words.indices { unsafe words[index] = random.next() }
        }
    }

    /// The distinct elements of everything.
    package var distinctValues: Set<UInt64> {
        unsafe UnsafeRawBufferPointer(start: memory, count: totalBytes).withMemoryRebound(to: UInt64.self) { unsafe Set($0) }
    }

    package var bytes: [UInt8] { unsafe Array(UnsafeRawBufferPointer(start: memory, count: totalBytes)) }
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
