internal import CheckpointCodecs
@testable import CheckpointExchange
import CheckpointFormat
import CheckpointIO
import CheckpointState
import CheckpointTestSupport
internal import SystemPackage
import Testing

/// Tensors in any order in a file, against the same read element by element.
@Suite(.timeLimit(.minutes(20))) struct StridedLayoutTests {
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
            let copy = try TensorBuffer(.u8, [(end - start) * type.width])
            _ = try tensor.view.capture(start * type.width..<end * type.width, to: copy.region)
            #expect(copy.region.array == Array(expected[start * type.width..<end * type.width]), "\(shape) \(strides)")
        }
    }

    /// The windows of a range, and that its elements lie in them, each once.
    private func windows(_ layout: StridedLayout, _ range: Range<Int>) -> [StridedLayout.Window] {
        var windows: [StridedLayout.Window] = []
        layout.forEachWindow(in: range) { windows.append($0) }
        #expect(windows.reduce(0) { $0 + $1.dimensions.reduce(1) { $0 * $1.count } } == range.count)
        #expect(windows.allSatisfy { $0.span * layout.type.width <= StridedLayout.windowBytesMax })
        return windows
    }

    /// Two rows a million long that lie as a million columns: each row is all of the file.
    @Test(arguments: [(ElementType.u8, 2), (.f32, 3), (.f64, 40)])
    func aWideMatrixInColumnOrderIsReadInWholeWindows(_ type: ElementType, _ rows: Int) throws {
        let columns = 1 << 20
        let layout = try #require(StridedLayout(type, [rows, columns], strides: [1, rows], byteOffset: 0))
        let row = windows(layout, columns..<2 * columns)
        #expect(row.count <= columns * rows * type.width / StridedLayout.windowBytesMax + 1)
        #expect(row[0].source == 1 && row[0].output == columns)
    }

    @Test func whatIsRepeatedIsReadOnce() throws {
        let layout = try #require(StridedLayout(.u8, [2, 1 << 29], strides: [0, 0], byteOffset: 0))
        let all = windows(layout, 0..<1 << 30)
        #expect(all.count == 1 && all[0].span == 1)
        let rows = try #require(StridedLayout(.f32, [1000, 1000], strides: [0, 1], byteOffset: 0))
        #expect(windows(rows, 0..<1_000_000).map(\.span) == [1000])
    }

    /// What lies far apart is not read for the sake of what lies beside it.
    @Test func aSquareMatrixIsReadInPartsOfItsRows() throws {
        let layout = try #require(StridedLayout(.f32, [4096, 4096], strides: [1, 4096], byteOffset: 0))
        let chunk = windows(layout, 0..<256 * 4096)
        #expect(chunk.count == 4096 && chunk.allSatisfy { $0.span == 256 })
        #expect(chunk.map(\.source) == chunk.map(\.source).sorted())
        #expect(StridedLayout(.f32, [2, 3], strides: [3, 1], byteOffset: 0) == nil)
    }

    /// Shapes that are larger than a window and than the gap, at random places.
    @Test(arguments: Seeds.first(6))
    func largeTensorsInAnyOrderAreTheSame(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let type = [ElementType.u16, .f32, .f64][random.below(3)]
        let shape = [3 + random.below(3), 2 + random.below(400), 1 + random.below(6)].shuffled(using: &random)
        var (strides, next) = ([0, 0, 0], 1 + random.below(2))
        for dimension in [0, 1, 2].shuffled(using: &random) {
            strides[dimension] = next
            next = next * shape[dimension] + [0, 0, 600][random.below(3)]
        }
        let files = InMemoryFileSystem()
        let content = random.bytes(next * type.width)
        try files.createDurably("/x", content)
        let tensor = try ForeignTensor("t", type, shape, strides: strides, in: ForeignFile("/x", in: files).lend(0..<content.count))
        let elements = shape.reduce(1, *)
        for _ in 0..<4 {
            let start = random.below(elements)
            let range = start..<start + 1 + random.below(elements - start)
            let copy = try TensorBuffer(.u8, [range.count * type.width])
            _ = try tensor.view.capture(range.lowerBound * type.width..<range.upperBound * type.width, to: copy.region)
            let bytes = copy.region.array
            // Every element would take long: some of them, and both ends.
            for element in [range.lowerBound, range.upperBound - 1] + (0..<200).map({ _ in range.lowerBound + random.below(range.count) }) {
                var (rest, place) = (element, 0)
                for dimension in shape.indices.reversed() {
                    place += rest % shape[dimension] * strides[dimension]
                    rest /= shape[dimension]
                }
                let at = (element - range.lowerBound) * type.width
                #expect(bytes[at..<at + type.width] == content[place * type.width..<(place + 1) * type.width], "\(shape) \(strides)")
            }
        }
    }
}
