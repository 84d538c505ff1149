internal import CheckpointFormat

/// Assignment of the tensors of a state to chunks, and of the chunks to blocks. It is pure
/// arithmetic, computed once and kept while names, types and shapes stay the same.
///
/// Large tensors are cut into chunks of `chunkBytes`, or a little less where an element would be
/// cut, in order, and each chunk is a block. Small tensors are packed: several share a block with
/// others of their unit and lane. The first DataStates-LLM paper coalesces shards in one host
/// buffer and has a single fence for all state; blocks of packed tensors and fences per unit go
/// further.
package struct CapturePlan: Sendable {
    /// The properties of a tensor that a plan depends on.
    package struct Tensor: Sendable {
        package var group: String
        package var bytes: Int
        package var lane: CaptureLane
        /// True if the tensor may be a cast of tensors of twice its bytes. It is then cut at the
        /// same elements as those tensors.
        package var isHalf: Bool
        /// Size of an element, or of the smallest whole number of bytes with only whole elements.
        package var width: Int

        /// Describes one tensor.
        ///
        /// - Parameters:
        ///   - group: name of the group that the tensor is mutated with.
        ///   - bytes: size of the row-major tensor in bytes.
        ///   - lane: lane that captures the tensor.
        ///   - isHalf: whether it may be a cast of tensors of twice its bytes.
        ///   - width: size of an element, at least 1. A chunk that has room for one has whole ones.
        package init(
            group: String, bytes: Int, lane: CaptureLane = .host, isHalf: Bool = false,
            width: Int = 1
        ) {
            (self.group, self.bytes, self.lane) = (group, bytes, lane)
            (self.isHalf, self.width) = (isHalf, width)
        }
    }

    /// A range of one tensor's bytes, and its position in a block.
    package struct Chunk: Sendable, Equatable {
        /// Index of the tensor in the inventory.
        package var tensor: Int
        /// Range of the tensor's row-major bytes.
        package var range: Range<Int>
        /// Offset of the chunk in its block, in bytes.
        package var offset: Int
        package var block: Int
    }

    /// The bytes that are hashed, encoded and written together: one chunk of a large tensor, or
    /// several small tensors.
    package struct Block: Sendable, Equatable {
        package var unit: UnitIndex
        package var lane: CaptureLane
        package var chunks: Range<Int>
        package var bytes: Int
    }

    /// Distinguishes this plan from others: copies of a plan share it.
    private let identity = Identity()
    private final class Identity: Sendable {}

    package private(set) var groups: [String] = []
    /// Index of each group in `groups`, by name.
    package private(set) var groupIndex: [String: GroupIndex] = [:]
    /// Number of units. A unit is the granularity of fences: one large group, or several adjacent
    /// small groups that share blocks, because one block and one write for each of many tiny groups
    /// would be expensive. A fence on one group of a unit waits for the complete unit, which is
    /// more than needed but never less.
    package private(set) var unitCount = 0
    /// Unit of each group, by name.
    package private(set) var unitIndex: [String: UnitIndex] = [:]
    package private(set) var chunks: [Chunk] = []
    package private(set) var blocks: [Block] = []
    /// Returns a block by its number.
    package subscript(block index: BlockIndex) -> Block { blocks[index.rawValue] }

    /// Chunks of each tensor, in order. `chunks` is grouped by tensor, so each entry is a range of
    /// its indices.
    package private(set) var chunksOfTensor: [Range<Int>]
    package private(set) var groupOfTensor: [GroupIndex] = []
    package private(set) var totalBytes = 0

    /// Plans the chunks, blocks and units of a state.
    ///
    /// - Parameters:
    ///   - tensors: the tensors, in the order of the inventory.
    ///   - chunkBytes: maximum size of a chunk and of a packed block in bytes: 1 to
    ///     `Limits.blockBytesMax`.
    ///   - packs: whether small tensors share blocks. If so, tensors below a quarter of
    ///     `chunkBytes` are packed.
    ///   - groupOrder: names of groups in capture order. Groups that are not listed follow in the
    ///     order of their first tensor.
    package init(tensors: [Tensor], chunkBytes: Int, packs: Bool = true, groupOrder: [String] = []) {
        precondition(chunkBytes > 0 && chunkBytes <= Limits.blockBytesMax)
        chunksOfTensor = [Range<Int>](repeating: 0..<0, count: tensors.count)
        orderGroups(tensors.map(\.group), first: groupOrder)
        let unitOfGroup = units(of: tensors, smallBelow: packs ? chunkBytes : 0)
        var members = [[Int]](repeating: [], count: unitCount)
        for tensor in tensors.indices { members[unitOfGroup[groupOfTensor[tensor].rawValue]].append(tensor) }
        for members in members {
            for lane in CaptureLane.allCases {
                add(members.filter { tensors[$0].lane == lane }, of: tensors, chunkBytes, packedBelow: packs ? chunkBytes / 4 : 0)
            }
        }
        totalBytes = tensors.reduce(0) { $0 + $1.bytes }
    }

    /// Assigns groups to units: adjacent small groups share a unit while their total fits in a
    /// chunk.
    private mutating func units(of tensors: [Tensor], smallBelow limit: Int) -> [Int] {
        var bytesOfGroup = [Int](repeating: 0, count: groups.count)
        for (index, tensor) in tensors.enumerated() { bytesOfGroup[groupOfTensor[index].rawValue] += tensor.bytes }
        var unitOfGroup: [Int] = []
        var gathered = 0
        for (group, bytes) in bytesOfGroup.enumerated() {
            if group == 0 || gathered + bytes > limit {
                unitCount += 1
                gathered = 0
            }
            gathered += bytes
            unitOfGroup.append(unitCount - 1)
            unitIndex[groups[group]] = UnitIndex(unitCount - 1)
        }
        return unitOfGroup
    }

    /// Adds the chunks and blocks of tensors of one unit and lane.
    private mutating func add(_ members: [Int], of tensors: [Tensor], _ chunkBytes: Int, packedBelow limit: Int) {
        for tensor in members where tensors[tensor].bytes >= limit {
            cut(tensor, tensors[tensor], tensors[tensor].isHalf ? chunkBytes / 2 : chunkBytes)
        }
        pack(members.filter { tensors[$0].bytes < limit }, of: tensors, chunkBytes)
    }

    /// Returns whether the other value is a copy of this plan.
    ///
    /// - Parameter other: the plan to compare with. A plan computed from equal tensors is not the
    ///   same.
    /// - Returns: true if both are copies of one plan.
    package func isSame(as other: CapturePlan) -> Bool { identity === other.identity }

    private mutating func orderGroups(_ names: [String], first: [String]) {
        let present = Set(names)
        for name in first.filter(present.contains) + names where groupIndex[name] == nil {
            groupIndex[name] = GroupIndex(groups.count)
            groups.append(name)
        }
        groupOfTensor = names.map { groupIndex[$0, default: GroupIndex(0)] }
    }

    private mutating func cut(_ index: Int, _ tensor: Tensor, _ chunkBytes: Int) {
        let first = chunks.count
        // A chunk that is smaller than an element cannot be made of whole ones.
        let whole = chunkBytes / tensor.width * tensor.width
        let chunkBytes = whole > 0 ? whole : chunkBytes
        for start in stride(from: 0, to: tensor.bytes, by: chunkBytes) {
            let range = start..<min(start + chunkBytes, tensor.bytes)
            openBlock(index, tensor)
            append(index, range)
        }
        chunksOfTensor[index] = first..<chunks.count
    }

    private mutating func pack(_ members: [Int], of tensors: [Tensor], _ chunkBytes: Int) {
        var isOpen = false
        for index in members where tensors[index].bytes > 0 {
            if !isOpen || blocks[blocks.count - 1].bytes + tensors[index].bytes > chunkBytes { openBlock(index, tensors[index]) }
            isOpen = true
            chunksOfTensor[index] = chunks.count..<chunks.count + 1
            append(index, 0..<tensors[index].bytes)
        }
    }

    /// Finds the chunk of a tensor twice as wide that holds the same elements as a given chunk.
    ///
    /// - Parameters:
    ///   - row: index of the narrow chunk in `chunks`.
    ///   - tensor: index of the wide tensor in the inventory.
    /// - Returns: the index of the wide chunk in `chunks`; nil if the wide tensor is cut at other
    ///   elements.
    package func wideChunk(of row: Int, in tensor: Int) -> Int? {
        let chunk = chunks[row]
        let index = row - chunksOfTensor[chunk.tensor].lowerBound
        guard index < chunksOfTensor[tensor].count else { return nil }
        let wide = chunksOfTensor[tensor].lowerBound + index
        return chunks[wide].range == 2 * chunk.range.lowerBound..<2 * chunk.range.upperBound ? wide : nil
    }

    private mutating func openBlock(_ index: Int, _ tensor: Tensor) {
        blocks.append(
            Block(
                unit: unitIndex[tensor.group, default: UnitIndex(0)], lane: tensor.lane,
                chunks: chunks.count..<chunks.count, bytes: 0))
    }

    /// Adds a chunk to the last block.
    private mutating func append(_ tensor: Int, _ range: Range<Int>) {
        let block = blocks.count - 1
        chunks.append(Chunk(tensor: tensor, range: range, offset: blocks[block].bytes, block: block))
        blocks[block].bytes += range.count
        blocks[block].chunks = blocks[block].chunks.lowerBound..<chunks.count
    }
}
