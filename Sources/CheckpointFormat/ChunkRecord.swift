/// A chunk: its hash and the location of its raw bytes (Formats/manifest.md, Chunk rows).
package struct ChunkRecord: Equatable, Sendable {
    package static let rowBytes = 32

    package var hash: Hash128
    /// Row of the block table.
    package var block: Int
    /// Offset in the block's raw bytes.
    package var offset: Int
    package var bytes: Int
    package var epoch: UInt32

    /// Range in the block's raw bytes.
    package var range: Range<Int> { offset..<offset + bytes }

    /// Creates the record of a chunk.
    ///
    /// - Parameters:
    ///   - hash: Hash of the chunk's raw bytes.
    ///   - block: Row of the block table.
    ///   - offset: Offset in the block's raw bytes.
    ///   - bytes: Size in bytes.
    ///   - epoch: Epoch of the tensor's group modulo 2^32; 0 for an object.
    package init(hash: Hash128, block: Int, offset: Int, bytes: Int, epoch: UInt32) {
        self.hash = hash
        self.block = block
        self.offset = offset
        self.bytes = bytes
        self.epoch = epoch
    }

    func encode(to writer: inout ByteWriter) {
        writer.identifier(hash)
        writer.count(UInt32.self, block)
        writer.count(UInt32.self, offset)
        writer.count(UInt32.self, bytes)
        writer.integer(epoch)
    }

    init(from reader: inout ByteReader, blocks: [BlockRecord]) throws(FormatError) {
        let start = reader.offset
        hash = try reader.identifier()
        block = try reader.count(UInt32.self, atMost: blocks.count - 1, "block")
        offset = try reader.count(UInt32.self, atMost: Limits.blockBytesMax, "offset")
        bytes = try reader.count(UInt32.self, atMost: Limits.blockBytesMax, "bytes")
        epoch = try reader.integer()
        guard bytes > 0 else { throw .damage(at: start + 24, "a chunk has no bytes") }
        guard offset <= blocks[block].rawBytes - bytes else {
            throw .damage(at: start + 20, "\(bytes) bytes at \(offset) are outside block \(block)")
        }
    }
}
