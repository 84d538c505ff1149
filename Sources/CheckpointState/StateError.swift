internal import CheckpointCodecs
internal import CheckpointFormat

/// A mistake of a provider in describing its state, found before anything is captured.
public struct StateError: Error, CustomStringConvertible, Sendable {
    public let description: String
    package init(_ description: String) { self.description = description }
}
