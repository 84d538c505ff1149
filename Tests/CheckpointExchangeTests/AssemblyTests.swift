@testable import CheckpointExchange
internal import CheckpointCodecs
import CheckpointFormat
import CheckpointIO
import CheckpointState
import CheckpointTestSupport
import SystemPackage
import Testing

/// Tensors put together from pieces, against the same done element by element.
@Suite(.timeLimit(.minutes(20))) struct AssemblyTests {
    /// Cuts each dimension at random places.
    private func shards(_ shape: [Int], _ random: inout SeededGenerator) -> [ShardDescriptor] {
        var shards = [ShardDescriptor(whole: shape)]
        for dimension in shape.indices where random.below(3) > 0 {
            let cut = random.below(shape[dimension] + 1)
            shards = shards.flatMap { shard -> [ShardDescriptor] in
                var (low, high) = (shard, shard)
                low.extent[dimension] = cut
                high.offset[dimension] = cut
                high.extent[dimension] = shape[dimension] - cut
                return [low, high].filter { !$0.extent.contains(0) }
            }
        }
        return shards.shuffled(using: &random)
    }

    /// The bytes of a shard, row by row.
    private func bytes(_ shard: ShardDescriptor, of whole: [UInt8], _ shape: [Int], _ width: Int) -> [UInt8] {
        let strides = TensorShape.rowMajorStrides(shape)
        var starts = [zip(shard.offset, strides).reduce(0) { $0 + $1.0 * $1.1 }]
        for dimension in shape.indices {
            starts = starts.flatMap { start in (0..<shard.extent[dimension]).map { start + $0 * strides[dimension] } }
        }
        return starts.flatMap { whole[$0 * width..<($0 + 1) * width] }
    }

    @Test(arguments: Seeds.first(40))
    func anyRangeOfAnyPiecesIsTheTensors(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let files = InMemoryFileSystem()
        let type = [ElementType.f32, .u8, .f64][random.below(3)]
        var (tensors, contents): ([Assembly.Tensor], [[UInt8]]) = ([], [])
        for number in 0..<3 {
            let shape = (0..<random.below(4)).map { _ in 1 + random.below(6) }
            let whole = random.bytes(TensorShape.byteCount(shape, type) ?? 0)
            var pieces: [Assembly.Piece] = []
            for (index, shard) in shards(shape, &random).enumerated() {
                let path = FilePath("/\(number)-\(index)")
                let content = [9, 9, 9] + bytes(shard, of: whole, shape, type.width)
                try files.createDurably(path, content)
                let file = try ForeignFile(path, in: files)
                let memory = file.lend(3..<content.count).memory
                pieces.append(Assembly.Piece(shard: shard, view: try TensorView(memory, type: type, shape: shard.extent)))
            }
            tensors.append(Assembly.Tensor(name: "t\(number)", type: type, shape: shape, pieces: pieces))
            contents.append(whole)
        }
        for (tensor, whole) in zip(try Assembly(tensors).lend("x"), contents) {
            for _ in 0..<10 {
                let start = random.below(whole.count)
                let range = start..<start + 1 + random.below(whole.count - start)
                let copy = try TensorBuffer(.u8, [range.count])
                _ = try tensor.view.capture(range, to: copy.region)
                #expect(copy.region.array == Array(whole[range]))
            }
        }
    }
}
