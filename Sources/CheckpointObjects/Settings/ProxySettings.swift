/// The proxies for http and https, and the hosts that are reached without one.
package struct ProxySettings: Sendable, Equatable {
    package private(set) var https: Sourced<ProxyAddress>?
    package private(set) var http: Sourced<ProxyAddress>?
    /// Entries of NO_PROXY in lower case, without a dot or `*.` at the start.
    private(set) var exceptions: [String] = []

    /// Greatest length of NO_PROXY in bytes.
    private static let listMax = 1 << 16

    /// Creates settings without proxies.
    package init() {}

    /// Reads the proxies. As in curl and Python, a variable in lower case comes first, and an empty
    /// one switches the proxy off.
    ///
    /// - Parameter environment: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in upper or lower case.
    /// - Throws: `SettingsError` for an address that cannot be read, or that begins with https.
    package init(environment: [String: String]) throws(SettingsError) {
        https = try Self.proxy("https_proxy", environment)
        // In a CGI program HTTP_PROXY is a header of the client (CVE-2016-5388).
        let isUpperAllowed = environment["REQUEST_METHOD"] == nil
        http = try Self.proxy("http_proxy", environment, isUpperAllowed: isUpperAllowed)
        let list = environment["no_proxy"] ?? environment["NO_PROXY"] ?? ""
        guard list.utf8.count <= Self.listMax else {
            throw SettingsError(
                "NO_PROXY", "the list is over \(Self.listMax >> 10) KiB", "Shorten it")
        }
        exceptions = list.split { $0 == "," || $0.isWhitespace }.map { entry in
            if entry.hasPrefix("*.") { return entry.dropFirst(2).lowercased() }
            return entry.drop { $0 == "." }.lowercased()
        }.filter { !$0.isEmpty }
    }

    /// Returns the proxy for a host.
    ///
    /// - Parameters:
    ///   - host: the name or the address of the host, without a port.
    ///   - isSecure: true for https.
    /// - Returns: nil if the host is reached without a proxy.
    package func proxy(forHost host: String, isSecure: Bool = true) -> ProxyAddress? {
        guard let proxy = isSecure ? https : http else { return nil }
        let name = Self.bare(host.lowercased())
        return exceptions.contains { Self.matches(name, $0) } ? nil : proxy.value
    }

    private static func proxy(
        _ lower: String, _ environment: [String: String], isUpperAllowed: Bool = true
    ) throws(SettingsError) -> Sourced<ProxyAddress>? {
        let names = isUpperAllowed ? [lower, lower.uppercased()] : [lower]
        guard let name = names.first(where: { environment[$0] != nil }),
            let text = environment[name].map({ SafeText.trimmed($0) }), !text.isEmpty
        else { return nil }
        guard let proxy = ProxyAddress(text) else {
            throw SettingsError(
                name, "not the address of an HTTP proxy", "Set it to http://host:port, or unset it")
        }
        // The connection to the proxy would be plain, and so would its password.
        guard !proxy.isSecure else {
            throw SettingsError(
                name, "a proxy that is itself reached by https is not supported",
                "Set it to http://host:port if the proxy also answers there, or unset it")
        }
        return Sourced(proxy, source: name)
    }

    /// Returns true if an entry of NO_PROXY means a host: the host itself, a domain it is in, a
    /// range of IPv4 addresses such as `10.0.0.0/8`, or `*` for all.
    private static func matches(_ host: String, _ entry: String) -> Bool {
        if entry == "*" { return true }
        if let slash = entry.firstIndex(of: "/") {
            guard let address = IPv4.read(host), let network = IPv4.read(entry[..<slash]),
                let bits = UInt32(entry[entry.index(after: slash)...]), bits <= 32
            else { return false }
            return (address ^ network) >> (32 - bits) == 0
        }
        var name = entry
        if entry.filter({ $0 == ":" }).count == 1 || entry.hasPrefix("[") {
            guard let (host, _) = HostAddress.hostAndPort(entry[...]) else { return false }
            name = bare(host)
        }
        return host == name || host.hasSuffix("." + name)
    }

    /// Removes the brackets of an IPv6 address.
    private static func bare(_ host: String) -> String {
        host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    }
}
