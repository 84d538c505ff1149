package import CheckpointFormat

extension Manifest {
    /// Tensors that are the same as an earlier one: of one type, shape and cut, and equal chunk by chunk, by the hashes taken at capture.
    /// By name; an alias of an alias is named as one of the first. Empty tensors are no aliases.
    package var aliases: [[UInt8]: String] {
        struct Content: Hashable {
            var type: ElementType
            var shape: [Int]
            var chunks: [Hash128]
            var sizes: [Int]
        }
        var first: [Content: String] = [:]
        var aliases: [[UInt8]: String] = [:]
        for tensor in tensors where tensor.bytes > 0 && tensor.shards.count == 1 {
            let rows = tensor.shards.flatMap { chunks[$0.chunks] }
            let content = Content(type: tensor.type, shape: tensor.shape, chunks: rows.map(\.hash), sizes: rows.map(\.bytes))
            // As bytes: two spellings of one accented letter are two names.
            if let known = first[content] { aliases[Array(tensor.name.utf8)] = known } else { first[content] = tensor.name }
        }
        return aliases
    }
}

extension CheckpointStore {
    /// Which tensors of a checkpoint hold the same as an earlier one, as tied weights do: for whoever wants to tie them again before he
    /// restores.
    /// - Returns: pairs in the order in which the tensors were described.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    public func aliases(in reference: CheckpointReference) throws(CheckpointError) -> [(name: String, of: String)] {
        let manifest = try load(reference).manifest
        let aliases = manifest.aliases
        return manifest.tensors.compactMap { tensor in aliases[Array(tensor.name.utf8)].map { (tensor.name, $0) } }
    }
}
