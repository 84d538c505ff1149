package import CheckpointFormat

extension Manifest {
    /// Tensors that are equal to an earlier one: same type, shape and chunk sizes, and equal chunk
    /// by chunk by the hashes taken at capture.
    ///
    /// The keys are names. All aliases of a tensor map to the first one. An empty tensor is not an
    /// alias.
    package var aliases: [ByteName: String] {
        struct Content: Hashable {
            var type: ElementType
            var shape: [Int]
            var chunks: [Hash128]
            var sizes: [Int]
        }
        var first: [Content: String] = [:]
        var aliases: [ByteName: String] = [:]
        for tensor in tensors where tensor.bytes > 0 && tensor.isInOrder {
            let rows = tensor.shards.flatMap { chunks[$0.chunks] }
            let content = Content(type: tensor.type, shape: tensor.shape, chunks: rows.map(\.hash), sizes: rows.map(\.bytes))
            if let known = first[content] {
                aliases[ByteName(tensor.name)] = known
            } else {
                first[content] = tensor.name
            }
        }
        return aliases
    }
}

extension CheckpointStore {
    /// Finds the tensors of a checkpoint that hold the same data as an earlier one, as tied weights
    /// do.
    ///
    /// Use it to tie them again before restoring.
    ///
    /// - Parameter reference: the checkpoint.
    /// - Returns: name of each alias and of the first equal tensor, in the order in which the
    ///   tensors were described.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    public func aliases(in reference: CheckpointReference) throws(CheckpointError) -> [(name: String, of: String)] {
        let manifest = try load(reference).manifest
        let aliases = manifest.aliases
        return manifest.tensors.compactMap { tensor in
            aliases[ByteName(tensor.name)].map { (tensor.name, $0) }
        }
    }
}
