package import CheckpointFormat

/// What a stretch of a block's bytes is: elements of one type.
package struct ElementRun: Sendable, Equatable {
    package var bytes: Int
    /// Nil: bytes of unknown kind, such as an object's.
    package var type: ElementType?
    /// Elements of a row of the tensor; 0 if it has none, or they are unknown.
    package var columns = 0
    /// The column of the first element.
    package var first = 0

    package init(bytes: Int, type: ElementType?) {
        self.bytes = bytes
        self.type = type
    }

    /// A stretch of a tensor.
    /// - Parameters:
    ///   - range: of its row-major bytes.
    ///   - shape: of the tensor.
    package init(_ range: Range<Int>, of type: ElementType, shape: [Int]) {
        self.init(bytes: range.count, type: type)
        columns = Self.columns(of: shape)
        if columns > 0 { first = range.lowerBound / type.width % columns }
    }

    /// As many of the last dimensions as make a row long enough to have a size of its own.
    private static func columns(of shape: [Int]) -> Int {
        var columns = 1
        // A shape with a 0 in it may have any other extents.
        for extent in shape.dropFirst().reversed() where columns < columnsMin { columns &*= extent }
        return columns >= columnsMin ? columns : 0
    }

    private static let columnsMin = 16
}

/// How hard the plane codecs try.
package enum PlaneEffort: UInt8, Sendable, CaseIterable {
    /// The most frequent bytes get short codes: close to the speed of memory.
    case fast
    /// Huffman codes, or matches where there are some, for the planes that they make smaller.
    case balanced
    /// Every layout is tried and the planes are searched longer: for what is written once and kept.
    case max
}

/// The part of a block that one sub-block holds.
struct SubBlockSlice: Equatable {
    var offset: Int
    var bytes: Int
    var type: ElementType?
    /// Of a slice of one run alone: the run.
    var run: ElementRun?
    /// Where in the run it begins.
    var runOffset = 0

    /// Where elements of `width` bytes lie in the rows and columns of their tensor.
    func grid(_ width: Int) -> SubBlockGrid? {
        guard let run, run.columns > 0 else { return nil }
        return SubBlockGrid(columns: run.columns, first: (run.first + runOffset / width) % run.columns)
    }
}

/// Cuts a block into sub-blocks: runs of one type that follow one another are one, unless each is to be looked at for itself, and none is
/// larger than the format's maximum.
struct SubBlockSlices: Sequence, IteratorProtocol {
    private let runs: [ElementRun]
    private var index = 0
    private var offset = 0
    private var left = 0
    private var type: ElementType?
    /// The run that is being cut, if it is one alone.
    private var run: ElementRun?
    private var runStart = 0
    /// A run of so many bytes has sub-blocks of its own.
    private let aloneMin: Int

    /// - Parameter isThorough: runs that are worth it have sub-blocks of their own.
    init(_ runs: [ElementRun], isThorough: Bool) {
        self.runs = runs
        aloneMin = isThorough ? 8 << 10 : .max
    }

    /// Of bytes of unknown kind.
    init(unknown bytes: Int) { (runs, left, aloneMin) = ([], bytes, .max) }

    mutating func next() -> SubBlockSlice? {
        while index < runs.count, left == 0 || canJoin(runs[index]) { join(runs[index]) }
        guard left > 0 else { return nil }
        let bytes = Swift.min(left, SubBlockHeader.rawBytesMax)
        defer {
            offset += bytes
            left -= bytes
        }
        return SubBlockSlice(offset: offset, bytes: bytes, type: type, run: run, runOffset: offset - runStart)
    }

    private func canJoin(_ next: ElementRun) -> Bool {
        next.bytes == 0 || next.type == type && next.bytes < aloneMin && (run.map { $0.bytes < aloneMin } ?? true)
    }

    private mutating func join(_ next: ElementRun) {
        index += 1
        guard next.bytes > 0 else { return }
        if left == 0 { (run, runStart) = (next, offset) } else { run = nil }
        type = next.type
        left += next.bytes
    }
}
