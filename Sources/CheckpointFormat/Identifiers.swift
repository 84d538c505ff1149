/// A 16-byte identifier, printed as 32 lower-case hexadecimal digits (Formats/README.md,
/// Conventions).
public protocol Identifier: RawRepresentable<UInt128>, Hashable, Sendable, Comparable, CustomStringConvertible {
    init(rawValue: UInt128)
}

extension Identifier {
    public var description: String { Hexadecimal.string(of: rawValue) }

    /// Parses exactly 32 lower-case hexadecimal digits.
    ///
    /// - Parameter text: The digits.
    /// - Returns: Nil if `text` is anything else.
    public init?(_ text: some StringProtocol) {
        guard let value = Hexadecimal.value(of: text) else { return nil }
        self.init(rawValue: value)
    }

    /// Returns a random identifier other than 0.
    package static func random() -> Self { Self(rawValue: .random(in: 1...UInt128.max)) }

    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Identifier of a checkpoint, which is also the id of the attempt that made it.
public struct CheckpointID: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}

/// Identifier of a store, fixed for the store's lifetime.
public struct StoreID: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}

/// Identifier of a run. Run ids sort by the time at which the run began (Formats/store-layout.md,
/// Names).
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

/// A 128-bit XXH3 hash in canonical (big-endian) form.
public struct Hash128: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}

/// Conversion between 128-bit numbers and 32 lower-case hexadecimal digits.
package enum Hexadecimal {
    /// Returns the value of a lower-case digit; nil for any other byte.
    static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    /// Returns 32 lower-case hexadecimal digits.
    package static func string(of value: UInt128) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }

    /// Parses exactly 32 lower-case hexadecimal digits; nil for any other text.
    package static func value(of text: some StringProtocol) -> UInt128? {
        let isHexadecimal = text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard text.utf8.count == 32, isHexadecimal else { return nil }
        return UInt128(text, radix: 16)
    }
}
