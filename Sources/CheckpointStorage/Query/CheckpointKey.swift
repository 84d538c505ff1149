internal import CheckpointFormat
internal import Foundation

/// A property of a checkpoint that conditions and `--sort` can compare.
public enum CheckpointKey: Sendable, Hashable {
    case step, created, age, run, id, parent, tag, size, stored, ratio, tensors, objects, pinned
    case metric(String)

    private static let named: [String: CheckpointKey] = [
        "step": .step, "created": .created, "time": .created, "age": .age, "run": .run, "id": .id, "parent": .parent,
        "tag": .tag, "tags": .tag, "size": .size, "stored": .stored, "ratio": .ratio, "tensors": .tensors, "objects": .objects,
        "pinned": .pinned,
    ]

    /// Returns the property with this name.
    ///
    /// - Parameter name: a property such as `step` or `size`; any other name, and `metric:NAME`, is
    ///   that of a metric.
    public init(_ name: String) {
        self = Self.named[name] ?? .metric(name.hasPrefix("metric:") ? String(name.dropFirst(7)) : name)
    }

    /// The type of a key's values, which decides how they are written.
    enum Kind { case number, bytes, moment, duration, text }

    var kind: Kind {
        switch self {
        case .step, .ratio, .tensors, .objects, .pinned, .metric: .number
        case .size, .stored: .bytes
        case .created: .moment
        case .age: .duration
        case .run, .id, .parent, .tag: .text
        }
    }

    /// Returns the value of a numeric key: sizes in bytes, times in seconds since 1970, ages in
    /// seconds.
    ///
    /// - Returns: nil if the checkpoint has no such value.
    func number(of checkpoint: CheckpointSummary, now: Date) -> Double? {
        switch self {
        case .step: Double(checkpoint.step)
        case .created: checkpoint.created.timeIntervalSince1970
        case .age: now.timeIntervalSince(checkpoint.created)
        case .size: Double(checkpoint.logicalBytes)
        case .stored: Double(checkpoint.contentBytes)
        case .ratio: checkpoint.contentBytes == 0
                ? nil : Double(checkpoint.logicalBytes) / Double(checkpoint.contentBytes)
        case .tensors: Double(checkpoint.tensorCount)
        case .objects: Double(checkpoint.objectCount)
        case .pinned: checkpoint.isPinned ? 1 : 0
        case .metric(let name): checkpoint.metrics[name]
        case .run, .id, .parent, .tag: nil
        }
    }

    /// Returns the texts that a pattern may match: for a run its id and name; for each id also its
    /// first 12 digits, as shown in tables.
    func texts(of checkpoint: CheckpointSummary) -> [String] {
        switch self {
        case .run: Self.forms(checkpoint.run) + [checkpoint.runName]
        case .id: Self.forms(checkpoint.id)
        case .parent: checkpoint.parent.map(Self.forms) ?? []
        case .tag: checkpoint.tags
        default: []
        }
    }

    private static func forms(_ id: some Identifier) -> [String] { [id.description, String(id.description.prefix(12))] }
}
