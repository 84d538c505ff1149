/// Intermediate results that the forward pass keeps for the backward pass, and the scratch memory
/// of the backward pass, for one batch size and sequence length. They are allocated once and reused
/// while these stay the same. Of several processes, each has a part of what is inside of attention
/// and MLP.
struct Activations {
    let batch: Int
    let length: Int
    /// The residual stream before each block and after the last: [rows, width] each.
    let streams: [Matrix]
    let blocks: [BlockActivations]
    /// Output of the final normalization: [rows, width].
    let final: Matrix
    let finalStatistics: Matrix
    /// Logits [rows, vocabulary]; the loss replaces them with their gradient.
    let logits: Matrix
    let scratch: BackwardScratch

    /// - Parameter parts: the number of processes among which layers are divided.
    init(_ configuration: ModelConfiguration, batch: Int, length: Int, parts: Int) {
        let (rows, width) = (batch * length, configuration.width)
        self.batch = batch
        self.length = length
        streams = (0...configuration.layers).map { Matrix(zeros: "stream.\($0)", rows, width) }
        blocks = (0..<configuration.layers).map { _ in
            BlockActivations(configuration, rows: rows, length: length, parts: parts)
        }
        final = Matrix(zeros: "final", rows, width)
        finalStatistics = Matrix(zeros: "final.statistics", rows, 2)
        logits = Matrix(zeros: "logits", rows, configuration.vocabulary)
        scratch = BackwardScratch(width: width, rows: rows, length: length, parts: parts)
    }
}

/// Intermediate results that one block keeps for its backward pass.
struct BlockActivations {
    let norm1, statistics1, qkv, attentionWeights, mixed, mask1: Matrix
    /// The residual stream between the attention and the MLP.
    let middle: Matrix
    let norm2, statistics2, hidden, activated, mask2: Matrix

    init(_ configuration: ModelConfiguration, rows: Int, length: Int, parts: Int) {
        let width = configuration.width
        norm1 = Matrix(zeros: "norm1", rows, width)
        statistics1 = Matrix(zeros: "statistics1", rows, 2)
        qkv = Matrix(zeros: "qkv", rows, 3 * width / parts)
        attentionWeights = Matrix(zeros: "weights", rows * configuration.heads / parts, length)
        mixed = Matrix(zeros: "mixed", rows, width / parts)
        mask1 = Matrix(zeros: "mask1", rows, width)
        middle = Matrix(zeros: "middle", rows, width)
        norm2 = Matrix(zeros: "norm2", rows, width)
        statistics2 = Matrix(zeros: "statistics2", rows, 2)
        hidden = Matrix(zeros: "hidden", rows, 4 * width / parts)
        activated = Matrix(zeros: "activated", rows, 4 * width / parts)
        mask2 = Matrix(zeros: "mask2", rows, width)
    }
}

/// Gradients that exist only within the backward pass of a block; all blocks share them.
struct BackwardScratch {
    let stream, branch, norm, mixed, qkv, attentionWeights, hidden: Matrix

    init(width: Int, rows: Int, length: Int, parts: Int) {
        stream = Matrix(zeros: "d.stream", rows, width)
        branch = Matrix(zeros: "d.branch", rows, width)
        norm = Matrix(zeros: "d.norm", rows, width)
        mixed = Matrix(zeros: "d.mixed", rows, width / parts)
        qkv = Matrix(zeros: "d.qkv", rows, 3 * width / parts)
        attentionWeights = Matrix(zeros: "d.weights", length, length)
        hidden = Matrix(zeros: "d.hidden", rows, 4 * width / parts)
    }
}
