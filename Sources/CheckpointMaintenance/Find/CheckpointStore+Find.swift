internal import CheckpointCodecs
public import CheckpointFormat
public import CheckpointStorage

extension CheckpointStore {
    /// Finds the checkpoints that hold tensors or objects of a name, and where they changed.
    ///
    /// Reads every manifest. Content is compared by the hashes of its chunks, so nothing else is
    /// read, unless a digest is given: tensors of several chunks are then read, each content
    /// once.
    ///
    /// - Parameters:
    ///   - pattern: the names.
    ///   - digest: XXH3-128 of the row-major bytes of a tensor, or of an object's bytes; nil finds
    ///     any content.
    ///   - progress: called with the number of manifests read so far, and their total.
    /// - Returns: what was found, and the errors of checkpoints that could not be read.
    /// - Throws: codes `io`, `damaged` (only while digests are computed), `outOfMemory`.
    public func find(
        _ pattern: NamePattern, digest: Hash128? = nil,
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> FindReport {
        var report = FindReport()
        let (checkpoints, damaged) = try summaries()
        report.damaged = damaged
        let predecessors = Lineage(checkpoints).predecessors
        // Oldest first, so that predecessors are known.
        var contents: [[Content.Key: Content]] = checkpoints.map { _ in [:] }
        var digests: [Content.Identity: Hash128] = [:]
        var names: Set<String> = []
        for index in checkpoints.indices.reversed() {
            progress(checkpoints.count - index, checkpoints.count)
            let manifest: Manifest
            do throws(CheckpointError) {
                manifest = try files.load(checkpoints[index].name).manifest
            } catch {
                if error.code != .notFound { report.damaged.append(error) }
                continue
            }
            report.checkpointCount += 1
            let all = Content.all(of: manifest)
            names.formUnion(all.lazy.map(\.key.name))
            let before = predecessors[index].map { contents[$0] } ?? [:]
            var found: [FindReport.Occurrence] = []
            for content in all where pattern.matches(content.key.name) {
                contents[index][content.key] = content
                if let digest {
                    if digests[content.identity] == nil {
                        digests[content.identity] = try self.digest(of: content, in: manifest)
                    }
                    guard digests[content.identity] == digest else { continue }
                }
                found.append(
                    .init(
                        checkpoint: checkpoints[index], name: content.key.name,
                        kind: content.key.kind,
                        bytes: content.bytes, change: content.change(from: before[content.key])))
            }
            // Oldest first; the order is reversed at the end.
            report.occurrences += found.reversed()
        }
        report.occurrences.reverse()
        if report.occurrences.isEmpty {
            report.nearest = Nearest.byDistance(pattern.description, names.sorted())
        }
        return report
    }

    private func summaries() throws(CheckpointError) -> (
        found: [CheckpointSummary], damaged: [CheckpointError]
    ) {
        var (found, damaged): ([CheckpointSummary], [CheckpointError]) = ([], [])
        for result in try checkpoints() {
            switch result {
            case .success(let summary): found.append(summary)
            case .failure(let error): damaged.append(error)
            }
        }
        return (found, damaged)
    }

    private func digest(of content: Content, in manifest: Manifest) throws(CheckpointError)
        -> Hash128
    {
        if content.identity.hashes.count == 1 { return content.identity.hashes[0] }
        switch content.key.kind {
        case .tensor:
            guard
                let record = manifest.tensors.first(where: {
                    $0.name.isSameName(as: content.key.name)
                })
            else { preconditionFailure("the tensor was found in this manifest") }
            return try TensorStream(store: self, manifest: manifest).readInOrder(record)
        case .object:
            guard
                let record = manifest.objects.first(where: {
                    $0.name.isSameName(as: content.key.name)
                })
            else { preconditionFailure("the object was found in this manifest") }
            return Hashing.digest(
                try ContentReader(store: self, manifest: manifest).object(record)[...])
        }
    }
}

/// A tensor or an object of one manifest, by the hashes of its chunks.
private struct Content {
    struct Key: Hashable {
        let kind: FindReport.Occurrence.Kind
        let name: String
        private let bytes: ByteName

        init(_ kind: FindReport.Occurrence.Kind, _ name: String) {
            (self.kind, self.name, bytes) = (kind, name, ByteName(name))
        }

        /// Names are compared as bytes, as everywhere.
        static func == (a: Self, b: Self) -> Bool { a.kind == b.kind && a.bytes == b.bytes }
        func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
    }

    /// Equal for equal content that was cut into the same chunks.
    struct Identity: Hashable {
        /// Type and shape of a tensor.
        let form: String
        let hashes: [Hash128]
    }

    let key: Key
    let identity: Identity
    let bytes: Int

    static func all(of manifest: Manifest) -> [Content] {
        let tensors = manifest.tensors.map { record in
            Content(
                key: Key(.tensor, record.name),
                identity: Identity(
                    form: "\(record.type.rawValue)\(record.shape)",
                    hashes: record.shards.flatMap { manifest.chunks[$0.chunks].map(\.hash) }),
                bytes: record.bytes)
        }
        return tensors
            + manifest.objects.map { record in
                Content(
                    key: Key(.object, record.name),
                    identity: Identity(
                        form: "object", hashes: manifest.chunks[record.chunks].map(\.hash)),
                    bytes: record.bytes)
            }
    }

    func change(from before: Content?) -> FindReport.Occurrence.Change {
        guard let before else { return .new }
        return before.identity == identity ? .same : .changed
    }
}
