internal import CheckpointFormat

/// The part of a block in one sub-block.
struct SubBlockSlice: Equatable {
    var offset: Int
    var bytes: Int
    var type: ElementType?
    /// The run, if the slice is a part of one run only.
    var run: ElementRun?
    /// Offset of the slice in the run, in bytes.
    var runOffset = 0

    /// Returns the position of the slice's elements in the rows and columns of the tensor; nil if
    /// it is unknown.
    ///
    /// - Parameter width: Size of an element in bytes.
    func grid(_ width: Int) -> SubBlockGrid? {
        guard let run, run.columns > 0 else { return nil }
        return SubBlockGrid(
            columns: run.columns, first: (run.first + runOffset / width) % run.columns)
    }
}
