/// A 128-bit XXH3 hash in canonical (big-endian) form.
public struct Hash128: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}
