/// An answer of a service that gives credentials. Headers and body hold secrets and are never
/// printed.
package struct SmallResponse: Sendable, CustomStringConvertible, CustomReflectable {
    package var status: Int
    package var headers: [(String, String)]
    package var body: [UInt8]

    /// Greatest size of a body in bytes.
    package static let bodyMax = 1 << 20

    /// Creates an answer.
    ///
    /// - Parameters:
    ///   - status: the HTTP status.
    ///   - headers: names and values.
    ///   - body: the body, of at most `bodyMax` bytes.
    package init(status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package var description: String { "answer \(status), \(body.count) B" }
    package var customMirror: Mirror { Mirror(self, children: [("status", status)]) }
}
