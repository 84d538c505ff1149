/// The scheme, host and port of a service.
package struct HostAddress: Sendable, Equatable, CustomStringConvertible {
    /// True for https.
    package var isSecure: Bool
    /// The name or the address of the host; an IPv6 address in brackets.
    package var host: String
    /// Nil for the port of the scheme.
    package var port: Int?

    /// Creates an address.
    ///
    /// - Parameters:
    ///   - isSecure: true for https.
    ///   - host: the name or the address of the host; an IPv6 address in brackets.
    ///   - port: nil for the port of the scheme.
    package init(isSecure: Bool, host: String, port: Int? = nil) {
        self.isSecure = isSecure
        self.host = host
        self.port = port
    }

    /// Reads `http://host`, `https://host:port` and the like.
    ///
    /// - Parameter text: the address. A slash at its end is ignored.
    /// - Returns: nil if the text is anything else, such as an address with a path or a user.
    package init?(_ text: String) {
        guard text.utf8.count <= 512, let split = Self.splitScheme(text) else { return nil }
        var rest = split.rest
        while rest.last == "/" { rest.removeLast() }
        guard let (host, port) = Self.hostAndPort(rest) else { return nil }
        self.init(isSecure: split.isSecure, host: host, port: port)
    }

    /// The host as it stands in the header `host`.
    package var hostHeader: String { host + (port.map { ":\($0)" } ?? "") }

    package var description: String { (isSecure ? "https://" : "http://") + hostHeader }

    /// Separates `http://` or `https://` from the rest of a text.
    static func splitScheme(_ text: String) -> (isSecure: Bool, rest: Substring)? {
        for (scheme, isSecure) in [("http://", false), ("https://", true)] {
            let start = text.prefix(scheme.count)
            if start.lowercased() == scheme { return (isSecure, text.dropFirst(scheme.count)) }
        }
        return nil
    }

    /// Reads a host and a port.
    ///
    /// - Parameter text: such as `host`, `host:9000` and `[::1]:9000`.
    /// - Returns: nil for anything else.
    static func hostAndPort(_ text: Substring) -> (host: String, port: Int?)? {
        var host = text
        var port: Int?
        let afterHost = text.hasPrefix("[") ? text.firstIndex(of: "]") : text.startIndex
        guard let afterHost else { return nil }
        if let colon = text[afterHost...].firstIndex(of: ":") {
            let digits = text[text.index(after: colon)...]
            guard (1...5).contains(digits.count), digits.allSatisfy({ "0"..."9" ~= $0 }),
                let number = Int(digits), (1...65535).contains(number)
            else { return nil }
            port = number
            host = text[..<colon]
        }
        let isValid =
            host.hasPrefix("[")
            ? host.hasSuffix("]") && host.count > 2
                && host.dropFirst().dropLast().allSatisfy {
                    $0.isASCII && ($0.isHexDigit || ":.".contains($0))
                }
            : SafeText.isName(String(host), longest: 253)
        guard isValid else { return nil }
        return (host.lowercased(), port)
    }
}
