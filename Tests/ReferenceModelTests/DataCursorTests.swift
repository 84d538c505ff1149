import ReferenceModel
import Testing

@Suite(.timeLimit(.minutes(20)))
struct DataCursorTests {
    @Test("An epoch hands out each window exactly once",
        arguments: [(103, 5), (101, 5), (6, 5), (7, 5), (2, 1), (3, 1), (66, 1), (256, 1)])
    func epochCoversAllWindows(textCount: Int, context: Int) {
        // Every byte tells its own position.
        let text = (0..<textCount).map { UInt8($0) }
        let count = DataCursor.windowCount(textCount: textCount, context: context)
        var cursor = DataCursor(seed: 17)
        let epoch = cursor.nextBatch(from: text, batch: count, context: context)
        #expect(cursor.epoch == 0 && cursor.position == count)
        let starts = stride(from: 0, to: epoch.inputs.count, by: context).map {
            Int(epoch.inputs[$0])
        }
        let expected = (0..<count).map { min($0 * context, textCount - 1 - context) }
        #expect(starts.sorted() == expected)
        #expect(Set(epoch.targets) == Set(text.dropFirst()))
    }

    @Test("Windows are contiguous and targets follow their inputs")
    func windowsAreContiguous() {
        let text = (0..<200).map { UInt8($0) }
        var cursor = DataCursor(seed: 1)
        let batch = cursor.nextBatch(from: text, batch: 9, context: 6)
        #expect(batch.inputs.count == 54)
        #expect(batch.targets == batch.inputs.map { $0 + 1 })
        for row in 0..<9 {
            let window = batch.inputs[row * 6..<row * 6 + 6]
            #expect(Array(window) == (0..<6).map { window[row * 6] + $0 })
        }
    }

    @Test("Epochs and seeds shuffle differently; the batch size does not matter")
    func shuffles() {
        // 33 windows: the halves of 66 are two whole epochs.
        let text = (0..<199).map { UInt8($0) }
        func epochs(seed: UInt64, batch: Int) -> [[UInt8]] {
            var cursor = DataCursor(seed: seed)
            let windows = (0..<66 / batch).flatMap { _ in
                cursor.nextBatch(from: text, batch: batch, context: 6).inputs
            }
            return [Array(windows[..<198]), Array(windows[198...])]
        }
        let one = epochs(seed: 1, batch: 3)
        #expect(one == epochs(seed: 1, batch: 2))
        #expect(one[0] != one[1])
        #expect(one[0] != epochs(seed: 2, batch: 3)[0])
        #expect(one[0] != one[0].sorted())
    }
}
