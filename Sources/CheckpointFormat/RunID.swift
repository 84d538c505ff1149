/// Identifier of a restart of a run. Ids sort by the time at which the restart began
/// (Formats/store-layout.md, Names).
public struct RunID: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }

    /// Time in the first six bytes of the id, in milliseconds since 1970.
    package var milliseconds: UInt64 { UInt64(truncatingIfNeeded: rawValue >> 80) }

    /// Returns a new run id that is later than the clock and than the newest existing id.
    ///
    /// - Parameters:
    ///   - clockMilliseconds: The current time, in milliseconds since 1970.
    ///   - newest: The newest run id in the store, or nil if the store has none.
    /// - Returns: An id that sorts after `newest`, unless all 128 bits of `newest` are ones.
    package static func next(clockMilliseconds: UInt64, after newest: RunID?) -> RunID {
        let last: UInt64 = 0xFFFF_FFFF_FFFF
        // At the last time that an id can hold, only the random part can still grow.
        if let newest, newest.milliseconds == last {
            return RunID(rawValue: max(newest.rawValue, newest.rawValue &+ 1))
        }
        let floor = newest.map { $0.milliseconds + 1 } ?? 0
        let time = UInt128(min(max(clockMilliseconds, floor), last))
        return RunID(rawValue: time << 80 | UInt128.random(in: 0..<(1 << 80)))
    }
}
