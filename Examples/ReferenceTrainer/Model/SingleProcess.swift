/// A process that computes a model alone, with all of its weights.
package struct SingleProcess: TensorGroup {
    package let index = 0
    package let count = 1

    /// Creates the group of one process.
    package init() {}

    package func allGather<Value: BitwiseCopyable & Sendable>(_ values: [Value]) -> [[Value]] {
        [values]
    }
}
