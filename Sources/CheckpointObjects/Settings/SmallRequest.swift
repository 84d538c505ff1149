/// A request to a service that gives credentials. Headers and body hold secrets and are never
/// printed.
package struct SmallRequest: Sendable, CustomStringConvertible, CustomReflectable {
    package var method: String
    package var url: String
    package var headers: [(String, String)]
    package var body: [UInt8]
    /// Seconds until the request is given up.
    package var timeout: Double
    /// True if the request must not go through a proxy, because the service is on this machine.
    package var isLocal: Bool

    /// Creates a request.
    ///
    /// - Parameters:
    ///   - method: the HTTP method.
    ///   - url: the whole address.
    ///   - headers: names and values; those that HTTP needs are added when it is sent.
    ///   - body: the body.
    ///   - timeout: seconds until the request is given up.
    ///   - isLocal: true if the request must not go through a proxy.
    package init(
        method: String, url: String, headers: [(String, String)] = [], body: [UInt8] = [],
        timeout: Double, isLocal: Bool = false
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.isLocal = isLocal
    }

    package var description: String { "\(method) request" }
    package var customMirror: Mirror { Mirror(self, children: [("method", method)]) }
}
