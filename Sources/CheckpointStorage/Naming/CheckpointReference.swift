public import CheckpointFormat

/// Which checkpoint is meant.
public enum CheckpointReference: Sendable, Hashable, CustomStringConvertible {
    /// The newest one that is whole.
    case latest
    /// The newest one with this step.
    case step(Int)
    /// The one with this step of the run that is called so, or whose id begins so; of several such runs the newest.
    case stepOfRun(String, step: Int)
    /// The one whose id begins so: 4 to 32 hexadecimal digits.
    case id(prefix: String)
    /// The one with this tag.
    case tag(TagName)
    /// The one whose metric is the smallest, or the largest, of all; NaN is never best, and of equals the newest is.
    case best(metric: String, isLargest: Bool)

    /// Parses `latest`, a step (`1000`, `step-1000`, `step_001000`), `RUN:STEP`, `best:METRIC` (the smallest;
    /// `best:METRIC:max` the largest, `best:METRIC:min` as without), an id prefix, or a tag. Up to 11 digits alone are a step;
    /// 12 are as many as tables show of an id.
    public init?(_ text: String) {
        if text == "latest" {
            self = .latest
        } else if let step = Self.step(in: text) {
            self = .step(step)
        } else if text.hasPrefix("best:") {
            guard let best = Self.best(in: text.dropFirst(5)) else { return nil }
            self = best
        } else if let colon = text.lastIndex(of: ":") {
            guard colon > text.startIndex, let step = Self.step(in: String(text[text.index(after: colon)...])) else { return nil }
            self = .stepOfRun(String(text[..<colon]), step: step)
        } else if (4...32).contains(text.utf8.count), text.allSatisfy({ $0.isHexDigit && !$0.isUppercase && $0.isASCII }) {
            self = .id(prefix: text)
        } else {
            guard let tag = TagName(text) else { return nil }
            self = .tag(tag)
        }
    }

    private static func step(in text: String) -> Int? {
        let isMarked = text.hasPrefix("step-") || text.hasPrefix("step_")
        let digits = isMarked ? text.dropFirst(5) : text[...]
        let isNumber = digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
        guard isNumber, (1...(isMarked ? 19 : 11)).contains(digits.utf8.count) else { return nil }
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
        case .step(let step): "step \(step)"
        case .stepOfRun(let run, let step): "step \(step) of run \(run)"
        case .id(let prefix): prefix
        case .tag(let tag): "the tag \(tag)"
        case .best(let metric, let isLargest): "best:\(metric)\(isLargest ? ":max" : "")"
        }
    }
}
