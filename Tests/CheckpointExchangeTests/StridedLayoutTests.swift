internal import CheckpointCodecs
@testable import CheckpointExchange
import CheckpointFormat
import CheckpointIO
import CheckpointState
import CheckpointTestSupport
internal import SystemPackage
import Testing

/// Tensors in any order in a file, against the same read element by element.
@Suite struct StridedLayoutTests {
    @Test(arguments: Seeds.first(60))
    func anyRangeOfAnyOrderIsTheTensors(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let type = [ElementType.f32, .u8, .f64][random.below(3)]
        let shape = (0..<1 + random.below(4)).map { _ in 1 + random.below(6) }
        var strides = [Int](repeating: 0, count: shape.count)
        var next = 1 + random.below(3)
        for dimension in shape.indices.shuffled(using: &random) {
            strides[dimension] = random.below(8) == 0 ? 0 : next
            next = next * shape[dimension] + random.below(3)
        }
        let first = random.below(5)
        let files = InMemoryFileSystem()
        let content = random.bytes(7 + (first + next) * type.width)
        try files.createDurably("/x", content)
        let memory = try ForeignFile("/x", in: files).lend(7..<content.count)
        let tensor = try ForeignTensor("t", type, shape, strides: strides, byteOffset: first * type.width, in: memory)
        let expected = (0..<shape.reduce(1, *)).flatMap { element -> ArraySlice<UInt8> in
            var (rest, place) = (element, first)
            for dimension in shape.indices.reversed() {
                place += rest % shape[dimension] * strides[dimension]
                rest /= shape[dimension]
            }
            return content[7 + place * type.width..<7 + (place + 1) * type.width]
        }
        for _ in 0..<10 {
            let start = random.below(expected.count / type.width)
            let end = start + 1 + random.below(expected.count / type.width - start)
            let copy = try OwnedTensor(.u8, [(end - start) * type.width])
            _ = try tensor.view.capture(start * type.width..<end * type.width, to: copy.region)
            #expect(copy.region.array == Array(expected[start * type.width..<end * type.width]), "\(shape) \(strides)")
        }
    }

    @Test func aTransposedMatrixIsReadInItsOwnRows() throws {
        let layout = try #require(StridedLayout(.f32, [1000, 50], strides: [1, 1000], byteOffset: 0))
        var runs: [StridedLayout.Run] = []
        layout.forEachRun(in: 0..<500) { runs.append($0) }
        #expect(runs.count == 50 && runs[3] == StridedLayout.Run(element: 3, source: 3000, sourceStride: 1, count: 10))
        #expect(StridedLayout(.f32, [2, 3], strides: [3, 1], byteOffset: 0) == nil)
    }
}
