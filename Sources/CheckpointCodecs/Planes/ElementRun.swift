package import CheckpointFormat

/// What a stretch of a block's bytes is: elements of one type.
package struct ElementRun: Sendable, Equatable {
    package var bytes: Int
    /// Nil: bytes of unknown kind, such as an object's.
    package var type: ElementType?

    package init(bytes: Int, type: ElementType?) {
        self.bytes = bytes
        self.type = type
    }
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
}

/// Cuts a block into sub-blocks: runs of one type that follow one another are one, and none is larger than the format's maximum.
struct SubBlockSlices: Sequence, IteratorProtocol {
    private let runs: [ElementRun]
    private var index = 0
    private var offset = 0
    private var left = 0
    private var type: ElementType?

    init(_ runs: [ElementRun]) { self.runs = runs }

    /// Of bytes of unknown kind.
    init(unknown bytes: Int) { (runs, left) = ([], bytes) }

    mutating func next() -> SubBlockSlice? {
        while index < runs.count, left == 0 || runs[index].bytes == 0 || runs[index].type == type {
            if runs[index].bytes > 0 { type = runs[index].type }
            left += runs[index].bytes
            index += 1
        }
        guard left > 0 else { return nil }
        let bytes = Swift.min(left, SubBlockHeader.rawBytesMax)
        defer {
            offset += bytes
            left -= bytes
        }
        return SubBlockSlice(offset: offset, bytes: bytes, type: type)
    }
}
