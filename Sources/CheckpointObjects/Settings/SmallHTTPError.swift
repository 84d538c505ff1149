/// A small request that got no answer.
package struct SmallHTTPError: Error, Equatable, CustomStringConvertible {
    /// The reason.
    package enum Kind: Sendable, Equatable {
        /// The time of the request was over.
        case timedOut
        /// No connection could be made.
        case unreachable
        /// The body of the answer is over the limit.
        case tooLarge
        /// Every other reason.
        case failed
    }

    package var kind: Kind
    /// The reason for people, without secrets.
    package var text: String

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - kind: the reason.
    ///   - text: the reason for people, without secrets.
    package init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text
    }

    package var description: String { text }
}
