/// Windows of text for one training step, row-major [batch, context].
package struct Batch: Sendable, Equatable {
    /// The bytes of the windows.
    package var inputs: [UInt8]
    /// For each input byte the byte that follows it in the text.
    package var targets: [UInt8]
}

/// Position of a shuffled walk over a text.
///
/// An epoch visits every window once, in an order determined by the seed and the epoch. Windows are
/// adjacent; the last is moved back to end with the text, so that an epoch predicts every byte but
/// the first. A batch may span two epochs. The coded form is the complete state.
package struct DataCursor: Codable, Sendable, Equatable {
    /// Seed of the order of the windows in every epoch.
    package let seed: UInt64
    /// Number of completed walks over the text.
    package private(set) var epoch: Int
    /// Number of windows of the current epoch that have been returned.
    package private(set) var position: Int

    /// Creates a cursor before the first window of the first epoch.
    ///
    /// - Parameter seed: seed of the order of the windows.
    package init(seed: UInt64) {
        self.seed = seed
        epoch = 0
        position = 0
    }

    /// Returns the number of windows in an epoch.
    ///
    /// - Parameters:
    ///   - textCount: length of the text in bytes, greater than `context`.
    ///   - context: length of a window in bytes.
    package static func windowCount(textCount: Int, context: Int) -> Int {
        precondition(context > 0 && textCount > context, "the text is shorter than one window")
        return (textCount - 2) / context + 1
    }

    /// Returns the next windows, each with the following bytes as targets.
    ///
    /// - Parameters:
    ///   - text: the text to train on.
    ///   - batch: number of windows.
    ///   - context: length of a window in bytes.
    /// - Returns: inputs and targets, [batch, context] each.
    package mutating func nextBatch(from text: [UInt8], batch: Int, context: Int) -> Batch {
        var result = Batch(inputs: [], targets: [])
        result.inputs.reserveCapacity(batch * context)
        result.targets.reserveCapacity(batch * context)
        for _ in 0..<batch {
            let start = nextStart(textCount: text.count, context: context)
            result.inputs += text[start..<start + context]
            result.targets += text[start + 1..<start + 1 + context]
        }
        return result
    }

    private mutating func nextStart(textCount: Int, context: Int) -> Int {
        let count = Self.windowCount(textCount: textCount, context: context)
        if position >= count {
            epoch += 1
            position = 0
        }
        var mixer = SplitMix64(state: seed &+ UInt64(epoch))
        let window = Permutation(count: count, key: mixer.next())(position)
        position += 1
        return min(window * context, textCount - 1 - context)
    }
}
