internal import CheckpointFormat
public import Foundation

/// A sort order of checkpoints: `KEY`, `KEY:asc` or `KEY:desc`. Pure.
public struct CheckpointOrder: Sendable {
    private let key: CheckpointKey
    private let isDescending: Bool

    /// Parses the argument of `--sort`.
    ///
    /// - Parameter text: `KEY`, `KEY:asc` or `KEY:desc`.
    /// - Returns: nil if the key is empty or longer than 4096 bytes.
    public init?(_ text: String) {
        let isMarked = text.hasSuffix(":desc") || text.hasSuffix(":asc")
        let name = isMarked ? String(text[..<(text.lastIndex(of: ":") ?? text.endIndex)]) : text
        guard !name.isEmpty, name.utf8.count <= CheckpointQuery.bytesMax else { return nil }
        (key, isDescending) = (CheckpointKey(name), text.hasSuffix(":desc"))
    }

    /// The metric that decides the order; nil if another key does.
    public var metric: String? { if case .metric(let name) = key { name } else { nil } }

    /// Sorts checkpoints; the sort is stable.
    ///
    /// - Parameters:
    ///   - checkpoints: the checkpoints.
    ///   - now: the time from which ages are counted.
    /// - Returns: the checkpoints in order; those without a value, or with NaN, are last in either
    ///   direction.
    public func sorted(_ checkpoints: [CheckpointSummary], now: Date) -> [CheckpointSummary] {
        if key.kind == .text { return sorted(checkpoints) { key.texts(of: $0).first } }
        return sorted(checkpoints) { checkpoint in
            key.number(of: checkpoint, now: now).flatMap { $0.isNaN ? nil : $0 }
        }
    }

    private func sorted<V: Comparable>(_ checkpoints: [CheckpointSummary], by value: (CheckpointSummary) -> V?) -> [CheckpointSummary] {
        let keyed = checkpoints.enumerated().map { (place: $0.offset, value: value($0.element)) }
        let order = keyed.sorted { a, b in
            guard let x = a.value, let y = b.value else { return a.value == nil && b.value == nil ? a.place < b.place : a.value != nil }
            return x == y ? a.place < b.place : (x < y) != isDescending
        }
        return order.map { checkpoints[$0.place] }
    }
}
