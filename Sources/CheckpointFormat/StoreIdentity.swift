/// Content of `store.json`: the store's id, version and features (Formats/store-layout.md,
/// `store.json`).
package struct StoreIdentity: Equatable, Sendable {
    package static let version = 1

    package var id: StoreID
    /// Time of creation, in milliseconds since 1970.
    package var created: Int
    package var requiredFeatures: [String] = []
    package var optionalFeatures: [String] = []

    /// Creates the identity of a new store.
    ///
    /// - Parameters:
    ///   - id: The store's id.
    ///   - created: Time of creation, in milliseconds since 1970.
    package init(id: StoreID, created: Int) {
        self.id = id
        self.created = created
    }

    /// Returns the content of the file: JSON with a line feed at the end.
    package func encoded(digest: Digest) -> [UInt8] {
        let value = JSONValue.object([
            .init("format", .string("ckpt-store")), .init("version", .count(Self.version)),
            .init("id", .hex(id)),
            .init("created_ms", .count(created)),
            .init("required_features", .array(requiredFeatures.map(JSONValue.string))),
            .init("optional_features", .array(optionalFeatures.map(JSONValue.string))),
            .init("check", .hex(check(version: Self.version, digest: digest))),
        ])
        return value.text + [0x0A]
    }

    /// Decodes `store.json`.
    ///
    /// - Parameters:
    ///   - bytes: The complete file.
    ///   - digest: The hash function.
    /// - Throws: Damage if a field or `check` is wrong; unsupported if the version or a required
    ///   feature is unknown.
    package init(decoding bytes: ArraySlice<UInt8>, digest: Digest) throws(FormatError) {
        guard bytes.count <= Limits.storeJSONBytesMax else {
            throw .damage(at: 0, "it is too large (\(bytes.count) bytes)")
        }
        let fields = try JSONFields(try JSONParser.parse(bytes), "store.json", offset: 0)
        guard try fields.string("format") == "ckpt-store" else {
            throw fields.error("format is not ckpt-store")
        }
        let version = try fields.count("version")
        guard version >= 1 else { throw fields.error("version is 0") }
        guard version <= Self.version else {
            throw .unsupported(
                at: 0, "store version \(version); this ckpt reads versions up to \(Self.version)")
        }
        id = try fields.identifier("id")
        created = try fields.count("created_ms")
        requiredFeatures = try Self.features("required_features", fields)
        optionalFeatures = try Self.features("optional_features", fields)
        guard try fields.identifier("check") == check(version: version, digest: digest) else {
            throw fields.error("check does not match: the file was changed")
        }
        let unknown = requiredFeatures.filter { name in
            !RequiredFeature.implemented.contains { $0.name == name }
        }
        guard unknown.isEmpty else {
            throw .unsupported(
                at: 0,
                "store needs feature \(unknown.joined(separator: ", ")), which this version of ckpt cannot read"
            )
        }
    }

    private func check(version: Int, digest: Digest) -> Hash128 {
        let lines = [
            "ckpt-store", String(version), id.description, String(created),
            requiredFeatures.joined(separator: ","),
            optionalFeatures.joined(separator: ","),
        ]
        return digest(Array(lines.map { $0 + "\n" }.joined().utf8)[...])
    }

    private static func features(_ key: String, _ fields: JSONFields) throws(FormatError)
        -> [String]
    {
        let names = try fields.strings(key, atMost: Limits.featureNamesMax)
        let allowed = Set("abcdefghijklmnopqrstuvwxyz0123456789-".utf8)
        guard
            names.allSatisfy({
                (1...64).contains($0.utf8.count) && $0.utf8.allSatisfy(allowed.contains)
            })
        else {
            throw fields.error("\(key) has an element that is not the name of a feature")
        }
        return names
    }
}
