internal import Glibc

/// Looks up the addresses that the name of a host stands for.
enum HostLookup {
    /// Returns the addresses of a host, as numbers, each once.
    ///
    /// - Parameter host: the name; an address stands for itself.
    /// - Returns: the addresses; empty if they could not be found.
    static func addresses(of host: String) -> [String] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, &hints, &first) == 0 else { return [] }
        defer { unsafe freeaddrinfo(first) }
        var addresses: [String] = []
        var next = unsafe first
        while let entry = unsafe next?.pointee {
            unsafe next = entry.ai_next
            guard let text = unsafe text(of: entry), !addresses.contains(text) else { continue }
            addresses.append(text)
        }
        return addresses
    }

    /// Returns an address as a number; nil if it cannot be written so.
    private static func text(of entry: addrinfo) -> String? {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let result = unsafe getnameinfo(
            entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0,
            NI_NUMERICHOST)
        guard result == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
