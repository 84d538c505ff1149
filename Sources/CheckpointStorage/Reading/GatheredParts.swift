package import CheckpointFormat

/// The size of the parts in which a tensor of several shards, or of pieces, is gathered. Pure.
package struct GatheredParts: Sendable {
    /// Size of the parts in bytes, at least an element; nil if only the whole tensor can be
    /// gathered.
    package let partBytes: Int?

    /// Divides a tensor.
    ///
    /// A block of a shard may hold bytes of many rows of the tensor, as where columns are split. So
    /// a part holds about a block of each piece that lies around its elements, and few blocks are
    /// read twice. Transposed memory is not divided, as each part would need every block; nor is a
    /// shard whose chunks end inside elements.
    ///
    /// - Parameters:
    ///   - record: the tensor.
    ///   - manifest: the checkpoint's manifest.
    ///   - bytes: least size of a part.
    ///   - bytesPerPiece: size for each of the pieces around one element, if that is more.
    package init(_ record: TensorRecord, _ manifest: Manifest, bytes: Int, bytesPerPiece: Int) {
        var ends: [(position: Int, isLast: Bool)] = []
        for shard in record.shards {
            guard
                manifest.chunks[shard.chunks].allSatisfy({
                    $0.bytes.isMultiple(of: record.type.width)
                })
            else {
                partBytes = nil
                return
            }
            for piece in shard.region.pieces(in: record.shape) {
                guard piece.isInOrder else {
                    partBytes = nil
                    return
                }
                ends.append((piece.offset, false))
                ends.append((piece.offset + piece.elements.reach, true))
            }
        }
        partBytes = max(bytes, bytesPerPiece * Self.mostAround(&ends))
    }

    /// Returns the greatest number of pieces around one position.
    private static func mostAround(_ ends: inout [(position: Int, isLast: Bool)]) -> Int {
        // Pieces begin before others end at the same position.
        ends.sort { ($0.position, $0.isLast ? 1 : 0) < ($1.position, $1.isLast ? 1 : 0) }
        var (count, most) = (0, 0)
        for end in ends {
            count += end.isLast ? -1 : 1
            most = max(most, count)
        }
        return most
    }
}

extension ShardPiece {
    /// True if its elements have the same order in the memory as in the tensor.
    fileprivate var isInOrder: Bool {
        let dimensions = zip(shape, zip(strides, localStrides)).filter { $0.0 > 1 }.map(\.1)
            .sorted { $0.0 > $1.0 }
        return zip(dimensions, dimensions.dropFirst()).allSatisfy { $0.1 > $1.1 }
    }
}
