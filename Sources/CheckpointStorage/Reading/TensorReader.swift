internal import CheckpointFormat
internal import CheckpointState

/// Reads tensors of one manifest by name.
struct TensorReader {
    let store: CheckpointStore
    let manifest: Manifest

    /// Reads a tensor into the caller's memory; see `Checkpoint.read`.
    func read(
        tensor name: String, into destination: TensorView, threads: Int
    ) throws(CheckpointError) {
        let record = try record(ofTensor: name)
        guard threads >= 1 else {
            throw CheckpointError(.misuse, "threads must be at least 1 (got \(threads))")
        }
        guard destination.type == record.type, destination.shape == record.shape else {
            throw CheckpointError(
                .mismatch,
                "tensor \"\(name)\" is \(record.type.rawValue)\(record.shape), and the destination "
                    + "is \(destination.type.rawValue)\(destination.shape)", names: [name])
        }
        if let device = destination.memory.device {
            try translating("tensor \(name)") { try device.orderCopiesAfterTrainer() }
        }
        try ContentReader(store: store, manifest: manifest, threads: threads)
            .tensor(record, into: destination)
    }

    /// Reads bytes of a tensor; see `Checkpoint.bytes(ofTensor:range:)`.
    func bytes(ofTensor name: String, range: Range<Int>?) throws(CheckpointError) -> [UInt8] {
        let record = try record(ofTensor: name)
        let range = range ?? 0..<record.bytes
        guard range.lowerBound >= 0, range.upperBound <= record.bytes else {
            throw CheckpointError(
                .misuse,
                "bytes \(range) are outside tensor \"\(name)\", which has \(record.bytes) bytes",
                names: [name])
        }
        return try TensorStream(store: store, manifest: manifest).bytes(of: record, range)
    }

    /// - Throws: code `notFound`, with the nearest names.
    func record(ofTensor name: String) throws(CheckpointError) -> TensorRecord {
        // By index, since records are large: a copy of each would take ten times as long.
        let tensors = manifest.tensors
        guard let index = tensors.indices.first(where: { tensors[$0].name.isSameName(as: name) })
        else { throw notFound("tensor", name, tensors.map(\.name)) }
        return tensors[index]
    }

    func notFound(_ kind: String, _ name: String, _ names: [String]) -> CheckpointError {
        let near = Nearest.byDistance(name, names)
        return CheckpointError(
            .notFound, "step \(manifest.step) has no \(kind) \"\(name)\"",
            remedy: near.isEmpty ? nil : "Nearest names: \(near.joined(separator: ", "))")
    }
}
