/// Extents of a byte-level GPT.
package struct ModelConfiguration: Codable, Sendable, Equatable {
    /// Number of distinct tokens, at most 256.
    package var vocabulary: Int
    /// Longest sequence: the number of learned positions.
    package var context: Int
    /// Number of transformer blocks.
    package var layers: Int
    /// Attention heads per layer; divides `width`.
    package var heads: Int
    /// Width of the residual stream.
    package var width: Int

    /// Creates a configuration; its vocabulary is all bytes unless a smaller one is given.
    package init(vocabulary: Int = 256, context: Int, layers: Int, heads: Int, width: Int) {
        self.vocabulary = vocabulary
        self.context = context
        self.layers = layers
        self.heads = heads
        self.width = width
    }

    /// 35 thousand parameters: for tests.
    package static let tiny = ModelConfiguration(context: 32, layers: 2, heads: 2, width: 32)
    /// 834 thousand parameters: for demonstrations.
    package static let small = ModelConfiguration(context: 64, layers: 4, heads: 4, width: 128)
    /// 10.8 million parameters.
    package static let medium = ModelConfiguration(context: 128, layers: 6, heads: 6, width: 384)

    /// Number of trained values; the tied output head counts once, as the token embedding.
    package var parameterCount: Int {
        let norm = 2 * width
        let attention = 4 * width * width + 4 * width
        let mlp = 8 * width * width + 5 * width
        return (vocabulary + context) * width + layers * (2 * norm + attention + mlp) + norm
    }
}
