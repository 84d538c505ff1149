internal import CKernels
internal import CheckpointFormat

/// Position of a sub-block's elements in the rows and columns of a tensor.
package struct SubBlockGrid: Equatable, Sendable {
    static let bytes = 8

    package var columns: Int
    /// Column of the first element.
    package var first: Int

    package init(columns: Int, first: Int) { (self.columns, self.first) = (columns, first) }

    /// Returns the number of rows that this number of elements spans.
    func rows(_ elements: Int) -> Int { (first + elements - 1) / columns + 1 }

    /// Returns true if the format allows the grid for this number of elements.
    func isPossible(_ elements: Int) -> Bool {
        (2...max(elements, 2)).contains(columns) && elements >= 2 && (0..<columns).contains(first)
    }

    func write(to memory: UnsafeMutableRawPointer) {
        unsafe memory.storeBytes(of: UInt32(columns), as: UInt32.self)
        unsafe memory.storeBytes(of: UInt32(first), toByteOffset: 4, as: UInt32.self)
    }
}
