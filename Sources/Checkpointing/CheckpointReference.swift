internal import CheckpointCatalog
internal import CheckpointFormat
internal import CheckpointSegments

/// Which checkpoint is meant.
public enum CheckpointReference: Sendable, Hashable, CustomStringConvertible {
    /// The newest one that is whole.
    case latest
    /// The newest one with this step.
    case step(Int)
    /// The one whose id begins so: 4 to 32 hexadecimal digits.
    case id(prefix: String)

    /// Parses `latest`, a step (`1000`, `step-1000`, `step_001000`), or an id prefix. Digits alone are a step.
    public init?(_ text: String) {
        if text == "latest" {
            self = .latest
        } else if let step = Self.step(in: text) {
            self = .step(step)
        } else if (4...32).contains(text.utf8.count), text.allSatisfy({ $0.isHexDigit && !$0.isUppercase && $0.isASCII }) {
            self = .id(prefix: text)
        } else {
            return nil
        }
    }

    private static func step(in text: String) -> Int? {
        let digits = text.hasPrefix("step-") || text.hasPrefix("step_") ? text.dropFirst(5) : text[...]
        guard (1...19).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(digits)
    }

    public var description: String {
        switch self {
        case .latest: "latest"
        case .step(let step): "step \(step)"
        case .id(let prefix): prefix
        }
    }
}

extension CheckpointStore {
    /// The manifests that a reference may mean, best first. Only `latest` ever has more than one.
    package func candidates(_ reference: CheckpointReference) throws(CheckpointError) -> [ManifestName] {
        let names = try files.names().reversed() as [ManifestName]
        switch reference {
        case .latest: return names
        case .step(let step): return Array(names.filter { $0.step == step }.prefix(1))
        case .id(let prefix):
            let entries = catalog.entries(names)
            // A checkpoint that cannot be read has no id to match.
            let matches = zip(names, entries).filter { (try? $0.1.get())?.id.description.hasPrefix(prefix) == true }
            guard matches.count <= 1 else {
                throw CheckpointError(.notFound, "id prefix \(prefix) means \(matches.count) checkpoints", remedy: "Give more digits")
            }
            return matches.map(\.0)
        }
    }

    /// Loads the checkpoint that is meant. `latest` walks back past damaged manifests, which are returned.
    package func load(
        _ reference: CheckpointReference
    ) throws(CheckpointError) -> (loaded: ManifestFiles.Loaded, skipped: [CheckpointError]) {
        var skipped: [CheckpointError] = []
        for name in try candidates(reference) {
            do throws(CheckpointError) { return (try files.load(name), skipped) } catch {
                guard reference == .latest, error.code == .damaged else { throw error }
                skipped.append(error)
            }
        }
        throw try missing(reference, skipped)
    }

    /// Why nothing was found, with what there is.
    package func missing(
        _ reference: CheckpointReference, _ skipped: [CheckpointError]
    ) throws(CheckpointError) -> CheckpointError {
        if let first = skipped.first {
            return CheckpointError(
                .damaged, "none of the \(skipped.count) checkpoints in \(directories.root) is whole; the newest: \(first)",
                remedy: "Run ckpt verify to see all of the damage", path: first.path)
        }
        let steps = try files.names().map(\.step)
        guard !steps.isEmpty else {
            return CheckpointError(.notFound, "the store \(directories.root) holds no checkpoint")
        }
        var message = "no checkpoint matches \(reference)"
        if case .step(let step) = reference {
            let nearest = Set(steps).sorted { $0.distance(to: step).magnitude < $1.distance(to: step).magnitude }.prefix(3)
            message += "; the nearest steps are \(nearest.sorted().map(String.init).joined(separator: ", "))"
        }
        return CheckpointError(.notFound, message, remedy: "List them with ckpt ls")
    }
}
