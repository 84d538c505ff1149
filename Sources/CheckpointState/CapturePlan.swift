internal import CheckpointFormat

/// How the tensors of a state are cut into chunks, and the chunks packed into blocks: pure arithmetic, made once and kept while
/// names, types and shapes stay the same.
///
/// Large tensors are cut into chunks of `chunkBytes`, each a block of its own, in order. Small ones are packed, several to a block, with
/// others of their unit and lane.
package struct CapturePlan: Sendable {
    /// What a plan needs to know of a tensor.
    package struct Tensor: Sendable {
        package var group: String
        package var bytes: Int
        package var lane: CaptureLane
        /// It may be a cast of tensors of twice its bytes, and is cut where those are.
        package var isHalf: Bool

        package init(group: String, bytes: Int, lane: CaptureLane = .host, isHalf: Bool = false) {
            self.group = group
            self.bytes = bytes
            self.lane = lane
            self.isHalf = isHalf
        }
    }

    package struct Chunk: Sendable, Equatable {
        /// Index of the tensor in the inventory.
        package var tensor: Int
        /// Row-major bytes of the tensor.
        package var range: Range<Int>
        /// Where the chunk lies in its block.
        package var offset: Int
        package var block: Int
    }

    package struct Block: Sendable, Equatable {
        package var unit: Int
        package var lane: CaptureLane
        package var chunks: Range<Int>
        package var bytes: Int
    }

    /// Tells one plan from another.
    private let identity = Identity()
    private final class Identity: Sendable {}

    package private(set) var groups: [String] = []
    /// Where in `groups` a name is.
    package private(set) var groupIndex: [String: Int] = [:]
    /// What is captured together: a large group, or several small ones that follow each other, lest each of many tiny groups cost a block
    /// and a write. Who waits for one of them waits for all, which is more than he needs and never less.
    package private(set) var unitCount = 0
    /// Unit of each group, by name.
    package private(set) var unitIndex: [String: Int] = [:]
    package private(set) var chunks: [Chunk] = []
    package private(set) var blocks: [Block] = []
    /// Chunks of each tensor, in order: `chunks` is grouped, so that these are runs of it.
    package private(set) var chunksOfTensor: [Range<Int>]
    package private(set) var groupOfTensor: [Int] = []
    package private(set) var totalBytes = 0

    /// - Parameters:
    ///   - packs: whether small tensors share blocks.
    ///   - groupOrder: names of groups in the order in which they are to be captured; others follow as they come.
    package init(tensors: [Tensor], chunkBytes: Int, packs: Bool = true, groupOrder: [String] = []) {
        precondition(chunkBytes > 0 && chunkBytes <= Limits.blockBytesMax)
        chunksOfTensor = [Range<Int>](repeating: 0..<0, count: tensors.count)
        orderGroups(tensors.map(\.group), first: groupOrder)
        let unitOfGroup = units(of: tensors, smallBelow: packs ? chunkBytes : 0)
        var members = [[Int]](repeating: [], count: unitCount)
        for tensor in tensors.indices { members[unitOfGroup[groupOfTensor[tensor]]].append(tensor) }
        for members in members {
            for lane in CaptureLane.allCases {
                add(members.filter { tensors[$0].lane == lane }, of: tensors, chunkBytes, packedBelow: packs ? chunkBytes / 4 : 0)
            }
        }
        totalBytes = tensors.reduce(0) { $0 + $1.bytes }
    }

    /// Puts groups into units: small ones together as long as they fit a chunk.
    private mutating func units(of tensors: [Tensor], smallBelow limit: Int) -> [Int] {
        var bytesOfGroup = [Int](repeating: 0, count: groups.count)
        for (index, tensor) in tensors.enumerated() { bytesOfGroup[groupOfTensor[index]] += tensor.bytes }
        var unitOfGroup: [Int] = []
        var gathered = 0
        for (group, bytes) in bytesOfGroup.enumerated() {
            if group == 0 || gathered + bytes > limit {
                unitCount += 1
                gathered = 0
            }
            gathered += bytes
            unitOfGroup.append(unitCount - 1)
            unitIndex[groups[group]] = unitCount - 1
        }
        return unitOfGroup
    }

    /// Adds tensors of one unit and lane.
    private mutating func add(_ members: [Int], of tensors: [Tensor], _ chunkBytes: Int, packedBelow limit: Int) {
        for tensor in members where tensors[tensor].bytes >= limit {
            cut(tensor, tensors[tensor], tensors[tensor].isHalf ? chunkBytes / 2 : chunkBytes)
        }
        pack(members.filter { tensors[$0].bytes < limit }, of: tensors, chunkBytes)
    }

    /// Whether the other is this very plan.
    package func isSame(as other: CapturePlan) -> Bool { identity === other.identity }

    private mutating func orderGroups(_ names: [String], first: [String]) {
        let present = Set(names)
        for name in first.filter(present.contains) + names where groupIndex[name] == nil {
            groupIndex[name] = groups.count
            groups.append(name)
        }
        groupOfTensor = names.map { groupIndex[$0, default: 0] }
    }

    private mutating func cut(_ index: Int, _ tensor: Tensor, _ chunkBytes: Int) {
        let first = chunks.count
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

    /// The chunk of another tensor, twice as wide, that holds the same elements as a chunk; nil if it is cut elsewhere.
    package func wideChunk(of row: Int, in tensor: Int) -> Int? {
        let chunk = chunks[row]
        let index = row - chunksOfTensor[chunk.tensor].lowerBound
        guard index < chunksOfTensor[tensor].count else { return nil }
        let wide = chunksOfTensor[tensor].lowerBound + index
        return chunks[wide].range == 2 * chunk.range.lowerBound..<2 * chunk.range.upperBound ? wide : nil
    }

    private mutating func openBlock(_ index: Int, _ tensor: Tensor) {
        blocks.append(Block(unit: unitIndex[tensor.group, default: 0], lane: tensor.lane, chunks: chunks.count..<chunks.count, bytes: 0))
    }

    /// Adds a chunk to the last block.
    private mutating func append(_ tensor: Int, _ range: Range<Int>) {
        let block = blocks.count - 1
        chunks.append(Chunk(tensor: tensor, range: range, offset: blocks[block].bytes, block: block))
        blocks[block].bytes += range.count
        blocks[block].chunks = blocks[block].chunks.lowerBound..<chunks.count
    }
}

/// Ways by which blocks leave the memory they live in. Each has threads and cursors of its own, so that a slow one holds no other up.
package enum CaptureLane: Int, Sendable, CaseIterable {
    /// Memory that this process can read.
    case host
    /// Memory that a device has to copy from.
    case device
}
