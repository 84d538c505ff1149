/// A range of memory that belongs to another object, such as a slot of the staging arena or a
/// worker's scratch buffer.
///
/// The code that creates a region guarantees two things: the memory stays mapped while the region
/// is used (`owner`, if given, keeps it mapped), and only one thread writes to a region at a time.
@safe
package struct MemoryRegion: @unchecked Sendable {
    private let start: UnsafeMutableRawPointer
    package let count: Int
    private let owner: AnyObject?

    /// Creates a region.
    ///
    /// - Parameters:
    ///   - start: The first byte.
    ///   - count: Size in bytes.
    ///   - owner: Object that keeps the memory mapped; retained by the region.
    package init(start: UnsafeMutableRawPointer, count: Int, owner: AnyObject?) {
        precondition(count >= 0)
        unsafe self.start = start
        self.count = count
        self.owner = owner
    }

    /// Returns a part of the region. A range outside the region traps.
    package subscript(range: Range<Int>) -> MemoryRegion {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return unsafe MemoryRegion(start: start + range.lowerBound, count: range.count, owner: owner)
    }

    /// Returns the first `count` bytes of the region.
    package func prefix(_ count: Int) -> MemoryRegion { self[0..<count] }

    package var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: start, count: count) }

    package var mutableBytes: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: start, count: count)
    }

    package func fillWithZeros() { unsafe mutableBytes.initializeMemory(as: UInt8.self, repeating: 0) }

    /// Fills the region with pseudorandom bytes, which depend on position and `seed` and do not
    /// compress.
    package func fillWithPattern(seed: UInt64) {
        var value = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        for index in unsafe mutableBytes.indices {
            if index % 8 == 0 { value ^= value << 13; value ^= value >> 7; value ^= value << 17 }
            unsafe mutableBytes[index] = UInt8(truncatingIfNeeded: value >> UInt64(index % 8 * 8))
        }
    }

    /// Copies an array slice to the start of the region.
    package func store(_ source: ArraySlice<UInt8>) {
        precondition(source.count <= count)
        unsafe source.withUnsafeBytes { unsafe mutableBytes.copyMemory(from: $0) }
    }

    /// Copies all of `source`, which must have the same size.
    package func copy(from source: MemoryRegion) {
        precondition(source.count == count)
        unsafe mutableBytes.copyMemory(from: source.bytes)
    }

    /// Moves bytes within the region. The two ranges may overlap.
    ///
    /// - Parameters:
    ///   - range: The bytes to move.
    ///   - offset: Offset of their new place, in bytes.
    package func move(_ range: Range<Int>, to offset: Int) {
        precondition(offset >= 0 && range.count <= count - offset)
        guard offset != range.lowerBound else { return }
        unsafe mutableBytes.baseAddress?.advanced(by: offset).copyMemory(from: self[range].start, byteCount: range.count)
    }

    package var array: [UInt8] { unsafe Array(bytes) }
}
