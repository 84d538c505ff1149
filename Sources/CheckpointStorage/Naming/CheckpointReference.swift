public import CheckpointFormat

/// A reference to one checkpoint of a store.
public enum CheckpointReference: Sendable, Hashable, CustomStringConvertible {
    /// The newest intact checkpoint of the store.
    case latest
    /// The newest intact checkpoint of the run with this name or id prefix; of several such runs,
    /// of the newest.
    case latestOfRun(String)
    /// The newest checkpoint with this step.
    case step(Int)
    /// The checkpoint with this step of the run with this name or id prefix; of several such runs,
    /// the newest.
    case stepOfRun(String, step: Int)
    /// The checkpoint whose id has this prefix: 4 to 32 lower-case hexadecimal digits.
    case id(prefix: String)
    /// The checkpoint with this tag.
    case tag(TagName)
    /// The checkpoint with the smallest or largest value of a metric. NaN is never best; of equal
    /// values, the newest wins.
    case best(metric: String, isLargest: Bool)

    /// Parses a reference.
    ///
    /// Accepted are `latest`, a step (`1000`, `step-1000`, `step_001000`), `RUN:STEP`, `RUN:latest`,
    /// `best:METRIC` (the smallest value; also `best:METRIC:min`), `best:METRIC:max` (the largest),
    /// an id prefix, and a tag. A number of up to 11 digits is a step; a longer one is a step or
    /// an id prefix, whichever exists: tables show 12 digits of an id.
    ///
    /// - Parameter text: the reference.
    /// - Returns: nil if the text is none of these.
    public init?(_ text: String) {
        if text == "latest" {
            self = .latest
        } else if let step = Self.step(in: text) {
            self = .step(step)
        } else if text.hasPrefix("best:") {
            guard let best = Self.best(in: text.dropFirst(5)) else { return nil }
            self = best
        } else if text.hasSuffix(":latest"), text.utf8.count > 7 {
            self = .latestOfRun(String(text.dropLast(7)))
        } else if let colon = text.lastIndex(of: ":") {
            let number = String(text[text.index(after: colon)...])
            // After RUN: there is no id, so a step may have any number of digits.
            guard colon > text.startIndex, let step = Self.step(in: number, atMost: 19) else {
                return nil
            }
            self = .stepOfRun(String(text[..<colon]), step: step)
        } else if (4...32).contains(text.utf8.count), text.allSatisfy({ $0.isHexDigit && !$0.isUppercase && $0.isASCII }) {
            self = .id(prefix: text)
        } else {
            guard let tag = TagName(text) else { return nil }
            self = .tag(tag)
        }
    }

    /// - Parameter digitsMax: largest number of digits of a step without `step-`.
    private static func step(in text: String, atMost digitsMax: Int = 11) -> Int? {
        let isMarked = text.hasPrefix("step-") || text.hasPrefix("step_")
        let digits = isMarked ? text.dropFirst(5) : text[...]
        let isNumber = digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
        guard isNumber, (1...(isMarked ? 19 : digitsMax)).contains(digits.utf8.count) else {
            return nil
        }
        return Int(digits)
    }

    private static func best(in text: Substring) -> CheckpointReference? {
        let isLargest = text.hasSuffix(":max")
        let metric = isLargest || text.hasSuffix(":min") ? text.dropLast(4) : text
        return metric.isEmpty ? nil : .best(metric: String(metric), isLargest: isLargest)
    }

    public var description: String {
        switch self {
        case .latest: "latest"
        case .latestOfRun(let run): "the latest of run \(run)"
        case .step(let step): "step \(step)"
        case .stepOfRun(let run, let step): "step \(step) of run \(run)"
        case .id(let prefix): prefix
        case .tag(let tag): "the tag \(tag)"
        case .best(let metric, let isLargest): "best:\(metric)\(isLargest ? ":max" : "")"
        }
    }

    /// True if older checkpoints are tried when the first one is damaged.
    package var walksBack: Bool {
        switch self {
        case .latest, .latestOfRun: true
        case .step, .stepOfRun, .id, .tag, .best: false
        }
    }
}
