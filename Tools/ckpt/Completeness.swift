import CheckpointFormat

/// What resuming a training run needs, and how much of it a checkpoint holds: pure.
struct Completeness {
    enum Presence: String { case present, partial, missing }

    struct Part {
        let name: String
        let presence: Presence
        /// Why it is there in part only.
        let detail: String?
    }

    let parts: [Part]

    var isComplete: Bool { parts.allSatisfy { $0.presence == .present } }

    init(of manifest: Manifest) {
        parts = [
            Self.parameters(manifest), Self.optimizer(manifest), Self.objects("rng", .rng, manifest),
            Self.objects("data", .data, manifest), Self.objects("schedule", .schedule, manifest),
        ]
    }

    private static func parameters(_ manifest: Manifest) -> Part {
        let parameters = manifest.tensors.filter { $0.role == .parameter }
        let empty = parameters.filter { $0.bytes == 0 }
        if parameters.isEmpty { return Part(name: "parameters", presence: .missing, detail: nil) }
        return part("parameters", has: parameters.count - empty.count, of: parameters.count, "tensors have elements")
    }

    /// An optimizer keeps tensors under names that hold those of the parameters. Where none does, there is no telling which are meant.
    private static func optimizer(_ manifest: Manifest) -> Part {
        let tensors = manifest.tensors.filter { $0.role == .optimizer }
        guard !tensors.isEmpty else { return objects("optimizer", .optimizer, manifest) }
        let kept = Set(tensors.flatMap { suffixes($0.name) })
        let parameters = manifest.tensors.filter { $0.role == .parameter }
        let covered = parameters.count { parameter in suffixes(parameter.name).contains { kept.contains($0) && $0.count > 1 } }
        if covered == 0 { return Part(name: "optimizer", presence: .present, detail: nil) }
        return part("optimizer", has: covered, of: parameters.count, "parameters have optimizer state")
    }

    /// The name itself, and what is left when its first components go: at least two, or the whole name.
    private static func suffixes(_ name: String) -> [ArraySlice<Substring>] {
        let parts = name.split(separator: ".")
        return parts.indices.dropLast(parts.count > 1 ? 1 : 0).map { parts[$0...] }
    }

    private static func objects(_ name: String, _ role: ObjectRole, _ manifest: Manifest) -> Part {
        let objects = manifest.objects.filter { $0.role == role }
        if objects.isEmpty { return Part(name: name, presence: .missing, detail: nil) }
        return part(name, has: objects.count { $0.bytes > 0 }, of: objects.count, "objects have content")
    }

    private static func part(_ name: String, has count: Int, of total: Int, _ what: String) -> Part {
        count == total
            ? Part(name: name, presence: .present, detail: nil)
            : Part(name: name, presence: .partial, detail: "\(count) of \(total) \(what)")
    }
}

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
            case .partial: "\(part.name) PARTLY (\(part.detail ?? ""))"
            case .missing: "\(part.name) MISSING"
            }
        }.joined(separator: ", ")
    }
}
