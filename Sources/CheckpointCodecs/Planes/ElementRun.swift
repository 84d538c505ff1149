package import CheckpointFormat

/// A run of a block's bytes that are elements of one type.
package struct ElementRun: Sendable, Equatable {
    package var bytes: Int
    /// Type of the elements; nil for bytes of unknown type, such as those of an object.
    package var type: ElementType?
    /// Number of elements in a row of the tensor; 0 if the tensor has no rows or the shape is
    /// unknown.
    package var columns = 0
    /// Column of the first element.
    package var first = 0

    /// Creates a run without rows and columns.
    ///
    /// - Parameters:
    ///   - bytes: Size in bytes.
    ///   - type: Type of the elements; nil if unknown. Complex numbers count as two elements, and
    ///     packed elements as bytes.
    package init(bytes: Int, type: ElementType?) {
        self.bytes = bytes
        self.type = type.map { $0.elementsPerUnit > 1 ? .u8 : $0.complexPart ?? $0 }
    }

    /// Creates a run that is a part of a tensor.
    ///
    /// - Parameters:
    ///   - range: The part, in bytes of the row-major tensor.
    ///   - type: Type of the elements.
    ///   - shape: Shape of the tensor, in elements.
    package init(_ range: Range<Int>, of type: ElementType, shape: [Int]) {
        self.init(bytes: range.count, type: type)
        guard type.elementsPerUnit == 1 else { return }
        columns = Self.columns(of: type.complexPart == nil ? shape : shape + [2])
        if columns > 0, let type = self.type { first = range.lowerBound / type.width % columns }
    }

    /// Returns the number of elements in a row. A row spans the trailing dimensions that together
    /// have at least `columnsMin` elements; a shorter row is too short for its elements' magnitude
    /// to be characteristic.
    private static func columns(of shape: [Int]) -> Int {
        var columns = 1
        // Wrapping multiplication, because the other extents of a shape with a 0 can be arbitrary.
        for extent in shape.dropFirst().reversed() where columns < columnsMin { columns &*= extent }
        return columns >= columnsMin ? columns : 0
    }

    private static let columnsMin = 16
}

/// Effort of the plane codecs.
package enum PlaneEffort: UInt8, Sendable, CaseIterable {
    /// Short codes for the most frequent bytes: close to the speed of memory.
    case fast
    /// Huffman codes, or matches if there are any, for the planes that they make smaller.
    case balanced
    /// All layouts, with a longer search for matches: for data that is written once and kept.
    case max
}

/// The part of a block in one sub-block.
struct SubBlockSlice: Equatable {
    var offset: Int
    var bytes: Int
    var type: ElementType?
    /// The run, if the slice is a part of one run only.
    var run: ElementRun?
    /// Offset of the slice in the run, in bytes.
    var runOffset = 0

    /// Returns the position of the slice's elements in the rows and columns of the tensor; nil if
    /// it is unknown.
    ///
    /// - Parameter width: Size of an element in bytes.
    func grid(_ width: Int) -> SubBlockGrid? {
        guard let run, run.columns > 0 else { return nil }
        return SubBlockGrid(
            columns: run.columns, first: (run.first + runOffset / width) % run.columns)
    }
}

/// Cuts a block into sub-blocks of at most the format's maximum size. Adjacent runs of one type are
/// joined, except for long runs if each is to be examined separately.
struct SubBlockSlices: Sequence, IteratorProtocol {
    private let runs: [ElementRun]
    private var index = 0
    private var offset = 0
    private var left = 0
    private var type: ElementType?
    /// The current run; nil if several runs have been joined.
    private var run: ElementRun?
    private var runStart = 0
    /// Size in bytes from which a run is not joined with others.
    private let aloneMin: Int

    /// Cuts a block whose types are known.
    ///
    /// - Parameters:
    ///   - runs: The types of all bytes of the block, in order.
    ///   - isThorough: Give every run of at least 8 KiB its own sub-blocks.
    init(_ runs: [ElementRun], isThorough: Bool) {
        self.runs = runs
        aloneMin = isThorough ? 8 << 10 : .max
    }

    /// Cuts a block of unknown type.
    init(unknown bytes: Int) { (runs, left, aloneMin) = ([], bytes, .max) }

    mutating func next() -> SubBlockSlice? {
        while index < runs.count, left == 0 || canJoin(runs[index]) { join(runs[index]) }
        guard left > 0 else { return nil }
        let bytes = Swift.min(left, SubBlockHeader.rawBytesMax)
        defer {
            offset += bytes
            left -= bytes
        }
        return SubBlockSlice(
            offset: offset, bytes: bytes, type: type, run: run, runOffset: offset - runStart)
    }

    private func canJoin(_ next: ElementRun) -> Bool {
        next.bytes == 0
            || next.type == type && next.bytes < aloneMin
                && (run.map { $0.bytes < aloneMin } ?? true)
    }

    private mutating func join(_ next: ElementRun) {
        index += 1
        guard next.bytes > 0 else { return }
        if left == 0 { (run, runStart) = (next, offset) } else { run = nil }
        type = next.type
        left += next.bytes
    }
}
