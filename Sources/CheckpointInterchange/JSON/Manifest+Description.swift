internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointStorage

// A checkpoint as JSON: the keys that `inspect`, `restore` and `export` share with
// Formats/reader/read_checkpoint.py.

extension Manifest {
    /// The keys that identify and size a checkpoint (Formats/cli-json.md).
    package var description: JSONValue {
        .object([
            .init("id", .hex(id)), .init("run", .hex(run)), .init("run_name", .string(runName)),
            .init("step", .count(step)),
            .init("created_ms", .count(created)), .init("writer", .string(writer)), .init("store", .hex(store)),
            .init("parent", parent.map { .label($0.id, $0.run, $0.step) } ?? .null),
            .init("metrics", .metrics(metrics.map { ($0.name, $0.value) })),
            .init("bytes", .count(logicalBytes)), .init("stored_bytes", .count(storedBytes)),
        ])
    }

    /// The tensors whose name matches one of the patterns; all if there is no pattern.
    package func tensors(
        matching patterns: [NamePattern]
    ) throws(CheckpointError) -> [(number: Int, record: TensorRecord)] {
        let matching = tensors.enumerated().filter { tensor in patterns.isEmpty || patterns.contains { $0.matches(tensor.element.name) } }
        if !patterns.isEmpty, matching.isEmpty {
            let names = patterns.map(\.description).joined(separator: ", ")
            throw CheckpointError(
                .notFound, "no tensor of step \(step) matches \(names)",
                remedy: "List the tensors with ckpt inspect")
        }
        return matching.map { ($0.offset, $0.element) }
    }
}

extension TensorRecord {
    /// The keys of one tensor (Formats/cli-json.md).
    package func description(_ storage: TensorInfo.Storage, _ digest: Hash128?) -> JSONValue {
        .object(
            [
                .init("name", .string(name)), .init("type", .string(type.rawValue)), .init("shape", .counts(shape)),
                .init("role", .string(role.rawValue)), .init("bytes", .count(bytes)),
                .init("chunks", .count(storage.chunkCount)),
                .init("codecs", .strings(storage.codecs)), .init("stored_bytes", .count(storage.storedBytes)),
            ] + (digest.map { [.init("digest", .hex($0))] } ?? []))
    }
}
