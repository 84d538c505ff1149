internal import CheckpointFormat
internal import CheckpointState

/// The role that a tensor's name suggests, by the names that PyTorch, transformers and Keras use.
enum UsualRole {
    private static let optimizerPrefixes = [
        "optimizer.", "optim.", "optimizer_state_dict.", "optimizer_states.", "optimizers.",
    ]
    /// Last components of the names of buffers: batch norm, rotary and absolute positions, causal
    /// masks, relative positions of vision models.
    private static let bufferNames: Set = [
        "running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance",
        "inv_freq", "position_ids", "token_type_ids", "masked_bias", "causal_mask", "attn_mask",
        "relative_position_index", "relative_coords_table", "cos_cached", "sin_cached",
    ]
    private static let randomNames: Set = [
        "rng", "rng_state", "rng_states", "random_state", "random_states", "torch_rng_state",
        "cuda_rng_state", "cuda", "cpu", "numpy", "random_rng_state", "np_rng_state",
    ]

    /// Returns the role of a tensor.
    ///
    /// - Parameters:
    ///   - name: the tensor's name; its components are separated by dots.
    ///   - type: type of its elements.
    static func of(_ name: String, _ type: ElementType) -> TensorRole {
        if optimizerPrefixes.contains(where: name.hasPrefix) { return .optimizer }
        let components = name.split(separator: ".")
        guard let last = components.last.map(String.init) else { return .parameter }
        // A generator's state is a row of bytes.
        let isBytes = type == .u8
        if isBytes, components.contains(where: { randomNames.contains(String($0)) }) {
            return .other
        }
        if bufferNames.contains(last) { return .buffer }
        // GPT-2 and its kin keep the causal mask under this name.
        if last == "bias", type == .bool || isBytes { return .buffer }
        return .parameter
    }
}
