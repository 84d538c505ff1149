/// Identifier of a store, fixed for the store's lifetime.
public struct StoreID: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}
