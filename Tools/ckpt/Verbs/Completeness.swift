import CheckpointStorage

extension Completeness {
    /// For `--json`.
    var json: JSONValue {
        .object(parts.map { part in
            .init(
                part.name,
                .object([.init("state", .string(part.presence.rawValue)), .init("detail", part.detail.map { .string($0) } ?? .null)]))
        })
    }

    var text: String {
        parts.map { part in
            switch part.presence {
            case .present: "\(part.name) present"
            case .partial: "\(part.name) INCOMPLETE (\(part.detail ?? ""))"
            case .missing: "\(part.name) MISSING"
            }
        }.joined(separator: ", ")
    }
}
