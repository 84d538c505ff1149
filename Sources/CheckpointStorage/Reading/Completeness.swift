package import CheckpointFormat

/// The state that resuming a training run needs, as far as a checkpoint holds it. A plain value.
public struct Completeness: Sendable, Equatable {
    /// Presence of one part in the checkpoint.
    public enum Presence: String, Sendable {
        /// All of it.
        case present
        /// Some of it.
        case partial
        /// None of it.
        case missing
    }

    /// One kind of state that resuming needs.
    public struct Part: Sendable, Equatable {
        /// `parameters`, `optimizer`, `rng`, `data` or `schedule`.
        public let name: String
        /// Presence in the checkpoint.
        public let presence: Presence
        /// The reason if it is partial, such as `3 of 4 parameters have optimizer state`.
        public let detail: String?
    }

    /// Parameters, optimizer, RNG, data cursor and schedule, in this order.
    public let parts: [Part]

    /// True if every part is present.
    public var isComplete: Bool { parts.allSatisfy { $0.presence == .present } }

    package init(of manifest: Manifest) {
        parts = [
            Self.parameters(manifest), Self.optimizer(manifest),
            Self.objects("rng", .rng, manifest), Self.objects("data", .data, manifest),
            Self.objects("schedule", .schedule, manifest),
        ]
    }

    private static func parameters(_ manifest: Manifest) -> Part {
        let parameters = manifest.tensors.filter { $0.role == .parameter }
        guard !parameters.isEmpty else { return missing("parameters") }
        return part(
            "parameters", has: parameters.count { $0.bytes > 0 }, of: parameters.count,
            "tensors have elements")
    }

    /// An optimizer names its tensors after those of the parameters. If no name matches, the
    /// optimizer counts as present: the names do not show which parameters it covers.
    private static func optimizer(_ manifest: Manifest) -> Part {
        let tensors = manifest.tensors.filter { $0.role == .optimizer }
        guard !tensors.isEmpty else { return objects("optimizer", .optimizer, manifest) }
        let kept = Set(tensors.flatMap { suffixes($0.name) })
        let parameters = manifest.tensors.filter { $0.role == .parameter }
        let covered = parameters.count { parameter in
            suffixes(parameter.name).contains { kept.contains($0) && $0.count > 1 }
        }
        if covered == 0 { return Part(name: "optimizer", presence: .present, detail: nil) }
        return part(
            "optimizer", has: covered, of: parameters.count, "parameters have optimizer state")
    }

    /// The name itself, and every ending of it that has at least two components.
    private static func suffixes(_ name: String) -> [ArraySlice<Substring>] {
        let parts = name.split(separator: ".")
        return parts.indices.dropLast(parts.count > 1 ? 1 : 0).map { parts[$0...] }
    }

    private static func objects(_ name: String, _ role: ObjectRole, _ manifest: Manifest) -> Part {
        let objects = manifest.objects.filter { $0.role == role }
        guard !objects.isEmpty else { return missing(name) }
        return part(
            name, has: objects.count { $0.bytes > 0 }, of: objects.count, "objects have content")
    }

    private static func missing(_ name: String) -> Part {
        Part(name: name, presence: .missing, detail: nil)
    }

    private static func part(
        _ name: String, has count: Int, of total: Int, _ what: String
    ) -> Part {
        count == total
            ? Part(name: name, presence: .present, detail: nil)
            : Part(name: name, presence: .partial, detail: "\(count) of \(total) \(what)")
    }
}
