/// Identifier of a checkpoint, which is also the id of the attempt that made it.
public struct CheckpointID: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}
