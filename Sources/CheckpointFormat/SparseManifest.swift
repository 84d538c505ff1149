/// A manifest whose tensors are decoded one at a time.
///
/// Nearly all the time to decode a manifest of thousands of tensors goes into their entries. Here
/// everything else is decoded, and checked as usual: the hash of the file, the tables, and the
/// JSON part but for `tensors`. The rules of Formats/manifest.md for a tensor's entry are checked
/// when it is asked for; that no other has its name, only by `decoded`.
package struct SparseManifest: Sendable {
    /// The manifest without tensors.
    package let rest: Manifest
    private let head: ManifestHead
    private let bytes: ArraySlice<UInt8>
    /// Where `bytes` have the entries of the tensors.
    private let entries: [Range<Int>]

    /// Decodes a manifest file.
    ///
    /// - Parameters:
    ///   - bytes: The complete file, from index 0.
    ///   - digest: The hash function.
    /// - Returns: nil if the manifest has parts: its tensors are in other files, too.
    /// - Throws: Damage or unsupported, with the offset in the file.
    package init?(decoding bytes: ArraySlice<UInt8>, digest: Digest) throws(FormatError) {
        let (header, json, tables) = try Manifest.Tables.decode(bytes, digest: digest)
        guard !header.features.contains(.parts) else { return nil }
        let (object, entries) = try JSONParser.parse(
            json, origin: ManifestHeader.bytes, withoutElementsOf: "tensors")
        guard entries.count <= Limits.tensorsPerManifestMax else {
            throw .damage(at: ManifestHeader.bytes, "JSON: there are \(entries.count) tensors")
        }
        var rest = try Manifest(directory: object, header: header, chunks: tables.chunks)
        rest.segments = tables.segments
        rest.blocks = tables.blocks
        rest.chunks = tables.chunks
        self.rest = rest
        self.bytes = bytes
        self.entries = entries
        head = ManifestHead(
            features: header.features, worldSize: rest.worldSize, rank: rest.rank)
    }

    /// Number of tensors.
    package var tensorCount: Int { entries.count }

    /// Finds a tensor by its name.
    ///
    /// - Parameter name: The name; names are compared as UTF-8 bytes.
    /// - Returns: The index of the tensor; nil if there is none of this name.
    /// - Throws: Damage if an entry that had to be decoded breaks a rule.
    package func index(ofTensor name: String) throws(FormatError) -> Int? {
        // This software writes the name first: then it is found without decoding the others.
        var beginning = JSONWriter()
        beginning.append("{\"name\":")
        beginning.write(string: name)
        let text = beginning.bytes
        if let index = entries.firstIndex(where: { bytes[$0].starts(with: text) }) { return index }
        let usual = Array("{\"name\":".utf8)
        for (index, entry) in entries.enumerated() {
            guard !bytes[entry].starts(with: usual) || bytes[entry].contains(UInt8(ascii: "\\"))
            else { continue }
            let value = try JSONParser.parse(bytes[entry], origin: entry.lowerBound)
            let fields = try JSONFields(value, "tensor \(index)", offset: entry.lowerBound)
            if try fields.name("name").isSameName(as: name) { return index }
        }
        return nil
    }

    /// Decodes one tensor.
    ///
    /// - Parameter index: Index of the tensor, which exists.
    /// - Returns: The manifest, with this tensor as its only one.
    /// - Throws: Damage if the entry breaks a rule.
    package func manifest(ofTensor index: Int) throws(FormatError) -> Manifest {
        let entry = entries[index]
        let value = try JSONParser.parse(bytes[entry], origin: entry.lowerBound)
        var manifest = rest
        manifest.tensors = [
            try TensorRecord(
                value, index: index, groups: rest.groups, chunks: rest.chunks, head: head,
                offset: ManifestHeader.bytes)
        ]
        return manifest
    }

    /// Decodes and checks everything.
    ///
    /// - Parameter digest: The hash function.
    /// - Throws: Damage if an entry breaks a rule, or two tensors have the same name.
    package func decoded(digest: Digest) throws(FormatError) -> Manifest {
        try Manifest(decoding: bytes, digest: digest)
    }
}
