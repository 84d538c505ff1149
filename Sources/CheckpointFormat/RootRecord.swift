/// The members of a manifest that stands for the parts of several ranks (Formats/manifest.md,
/// Checkpoints of several ranks).
package struct RootRecord: Equatable, Sendable {
    /// One rank's part.
    package struct Part: Equatable, Sendable {
        /// The last 16 bytes of the part's file.
        package var hash: Hash128
        /// Size of the part's file.
        package var bytes: Int

        package init(hash: Hash128, bytes: Int) {
            self.hash = hash
            self.bytes = bytes
        }
    }

    /// The parts, by rank; one of every rank.
    package var parts: [Part]
    package var index: PartIndex

    package init(parts: [Part], index: PartIndex) {
        self.parts = parts
        self.index = index
    }

    var json: [JSONValue.Member] {
        let parts = parts.enumerated().map { rank, part in
            JSONValue.object([
                .init("rank", .count(rank)), .init("hash", .hex(part.hash)),
                .init("bytes", .count(part.bytes)),
            ])
        }
        return [.init("parts", .array(parts)), .init("index", index.json)]
    }

    /// Decodes the members `parts` and `index`.
    ///
    /// - Parameters:
    ///   - fields: The JSON object of the manifest.
    ///   - worldSize: Number of ranks.
    ///   - tensors: Number of tensors.
    ///   - offset: Offset in the file of the JSON text.
    /// - Throws: Damage if a rule is broken.
    init(
        _ fields: JSONFields, worldSize: Int, tensors: Int, offset: Int
    ) throws(FormatError) {
        let values = try fields.array("parts", atMost: Limits.worldSizeMax)
        guard values.count == worldSize else {
            throw fields.error("there are \(values.count) parts for \(worldSize) ranks")
        }
        parts = []
        for (rank, value) in values.enumerated() {
            let part = try JSONFields(value, "part \(rank)", offset: offset)
            guard try part.count("rank") == rank else { throw part.error("it belongs to another rank") }
            parts.append(
                Part(
                    hash: try part.identifier("hash"),
                    bytes: try part.count("bytes", atMost: Limits.manifestBytesMax)))
        }
        index = try PartIndex(try fields.value("index"), tensors: tensors, offset: offset)
    }
}
