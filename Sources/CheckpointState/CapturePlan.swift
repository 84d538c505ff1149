internal import CheckpointFormat

/// How the tensors of a state are cut into chunks, and the chunks packed into blocks: pure arithmetic, made once and kept while
/// names, types and shapes stay the same.
///
/// Large tensors are cut into chunks of `chunkBytes`, each a block of its own, in order. Small ones are packed, several to a block, with
/// others of their group, so that no group's capture depends on another's.
package struct CapturePlan: Sendable {
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
        package var group: Int
        package var chunks: Range<Int>
        package var bytes: Int
    }

    package private(set) var groups: [String] = []
    package private(set) var chunks: [Chunk] = []
    package private(set) var blocks: [Block] = []
    /// Chunks of each tensor, in order: `chunks` is grouped, so that these are runs of it.
    package private(set) var chunksOfTensor: [Range<Int>]
    package private(set) var groupOfTensor: [Int] = []
    package private(set) var totalBytes = 0

    /// - Parameters:
    ///   - tensors: name of group and bytes of each.
    ///   - groupOrder: names of groups in the order in which they are to be captured; others follow as they come.
    package init(tensors: [(group: String, bytes: Int)], chunkBytes: Int, groupOrder: [String] = []) {
        precondition(chunkBytes > 0 && chunkBytes <= Limits.blockBytesMax)
        chunksOfTensor = [Range<Int>](repeating: 0..<0, count: tensors.count)
        orderGroups(tensors.map(\.group), first: groupOrder)
        for group in groups.indices {
            let members = tensors.indices.filter { groupOfTensor[$0] == group }
            let packed = members.filter { tensors[$0].bytes < chunkBytes / 4 }
            for tensor in members where tensors[tensor].bytes >= chunkBytes / 4 {
                cut(tensor, bytes: tensors[tensor].bytes, group: group, chunkBytes: chunkBytes)
            }
            pack(packed, tensors.map(\.bytes), group: group, chunkBytes: chunkBytes)
        }
        totalBytes = tensors.reduce(0) { $0 + $1.bytes }
    }

    private mutating func orderGroups(_ names: [String], first: [String]) {
        var index: [String: Int] = [:]
        let present = Set(names)
        for name in first.filter(present.contains) + names where index[name] == nil {
            index[name] = groups.count
            groups.append(name)
        }
        groupOfTensor = names.map { index[$0, default: 0] }
    }

    private mutating func cut(_ tensor: Int, bytes: Int, group: Int, chunkBytes: Int) {
        let first = chunks.count
        for start in stride(from: 0, to: bytes, by: chunkBytes) {
            let range = start..<min(start + chunkBytes, bytes)
            blocks.append(Block(group: group, chunks: chunks.count..<chunks.count + 1, bytes: range.count))
            chunks.append(Chunk(tensor: tensor, range: range, offset: 0, block: blocks.count - 1))
        }
        chunksOfTensor[tensor] = first..<chunks.count
    }

    private mutating func pack(_ members: [Int], _ bytes: [Int], group: Int, chunkBytes: Int) {
        var open: Int?
        for tensor in members where bytes[tensor] > 0 {
            if let block = open, blocks[block].bytes + bytes[tensor] > chunkBytes { open = nil }
            let block = open ?? blocks.count
            if open == nil {
                blocks.append(Block(group: group, chunks: chunks.count..<chunks.count, bytes: 0))
                open = block
            }
            chunksOfTensor[tensor] = chunks.count..<chunks.count + 1
            chunks.append(
                Chunk(tensor: tensor, range: 0..<bytes[tensor], offset: blocks[block].bytes, block: block))
            blocks[block].bytes += bytes[tensor]
            blocks[block].chunks = blocks[block].chunks.lowerBound..<chunks.count
        }
    }
}
