/// An HTTP proxy. Its description leaves out the user and the password.
package struct ProxyAddress: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    /// True if the proxy itself is reached by TLS.
    package var isSecure: Bool
    /// The name or the address of the host; an IPv6 address in brackets.
    package var host: String
    package var port: Int
    package var user: String?
    package var password: String?

    /// Reads the value of a variable such as HTTPS_PROXY.
    ///
    /// - Parameter text: such as `http://user:password@proxy:3128` and `proxy:3128`. A path is
    ///   ignored.
    /// - Returns: nil for anything else.
    package init?(_ text: String) {
        guard text.utf8.count <= 2048 else { return nil }
        let split = HostAddress.splitScheme(text)
        guard split != nil || !text.contains("://") else { return nil }
        isSecure = split?.isSecure ?? false
        var rest = split?.rest ?? text[...]
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(
                separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = parts.first, let user = Self.decoded(first) else { return nil }
            self.user = user
            if parts.count == 2 {
                guard let password = Self.decoded(parts[1]) else { return nil }
                self.password = password
            }
            rest = rest[rest.index(after: at)...]
        }
        rest = rest.prefix { $0 != "/" }
        guard let (host, port) = HostAddress.hostAndPort(rest) else { return nil }
        self.host = host
        self.port = port ?? (isSecure ? 443 : 80)
    }

    package var description: String { "\(isSecure ? "https" : "http")://\(host):\(port)" }
    package var customMirror: Mirror { Mirror(self, children: [("address", description)]) }

    /// Replaces `%XX`; nil if two hexadecimal digits do not follow, or the result is not UTF-8.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, digits.allSatisfy(\.isHexDigit),
                let value = UInt8(digits, radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
