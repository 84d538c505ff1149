/// Content of a file in `tags/` or `pins/`: three lines, 129 bytes (Formats/store-layout.md, Tags
/// and pins).
package struct Mark: Hashable, Sendable {
    /// 62 + 32 + 32 digits and letters, and three line feeds.
    package static let bytes = 129

    package var name: ManifestName
    package var id: CheckpointID

    /// Creates a mark.
    ///
    /// - Parameters:
    ///   - name: File name of the checkpoint's manifest.
    ///   - id: The checkpoint's id.
    package init(name: ManifestName, id: CheckpointID) {
        self.name = name
        self.id = id
    }

    private var text: [UInt8] { Array("\(name)\n\(id)\n".utf8) }

    /// Returns the content of the file: name, id and the hash of both, one line each.
    package func encoded(digest: Digest) -> [UInt8] { text + Array("\(digest(text[...]))\n".utf8) }

    /// Decodes the content of a file in `tags/` or `pins/`.
    ///
    /// - Throws: Damage if length, name, id or hash are wrong.
    package init(decoding bytes: [UInt8], digest: Digest) throws(FormatError) {
        guard bytes.count == Self.bytes else {
            throw .damage(at: 0, "it has \(bytes.count) bytes, not \(Self.bytes)")
        }
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard lines.count == 4, lines[3].isEmpty, let name = ManifestName(lines[0]),
            let id = CheckpointID(lines[1])
        else {
            throw .damage(
                at: 0, "it does not contain the name of a manifest and the id of a checkpoint")
        }
        self.init(name: name, id: id)
        guard encoded(digest: digest) == bytes else {
            throw .damage(at: text.count, "it does not match its hash")
        }
    }
}
