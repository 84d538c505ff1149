/// A bucket and a prefix in it: `s3://bucket/prefix`.
public struct S3Location: Sendable, Hashable, CustomStringConvertible {
    /// Name of the bucket.
    public let bucket: String
    /// Beginning of all keys, without slashes at its ends; may be empty.
    public let prefix: String
    /// What the program says about the way to the bucket.
    public var options = S3Options()

    private static let scheme = "s3://"

    /// Reads a location.
    ///
    /// - Parameter text: the location, such as `s3://bucket/runs/gpt2`.
    /// - Returns: nil if the text is no such location: without `s3://`, without a bucket of 3 to 63
    ///   letters, digits, `.`, `-` or `_`, with an empty part, `.` or `..` in the prefix, or with a
    ///   prefix of over 512 bytes.
    public init?(_ text: String) {
        guard text.hasPrefix(Self.scheme) else { return nil }
        let parts = text.dropFirst(Self.scheme.count)
            .split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        var rest = parts.dropFirst()
        if rest.last == "" { rest.removeLast() }
        guard let bucket = parts.first, (3...63).contains(bucket.utf8.count),
            bucket.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }),
            rest.allSatisfy({ !["", ".", ".."].contains($0) && !$0.contains("\0") })
        else { return nil }
        let prefix = rest.joined(separator: "/")
        guard prefix.utf8.count <= 512 else { return nil }
        self.bucket = bucket
        self.prefix = prefix
    }

    /// Returns the key within the bucket of an object of this place.
    func key(_ name: String) -> String { prefix.isEmpty ? name : "\(prefix)/\(name)" }

    /// Returns true if the text is meant as such a location, which may have mistakes.
    public static func isMeant(by text: String) -> Bool { text.hasPrefix(scheme) }

    public var description: String { Self.scheme + bucket + (prefix.isEmpty ? "" : "/\(prefix)") }
}
