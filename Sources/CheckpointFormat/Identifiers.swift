/// 16 bytes that name something, printed as 32 lower-case hexadecimal digits (Formats/README.md, Conventions).
public protocol Identifier: RawRepresentable<UInt128>, Hashable, Sendable, Comparable, CustomStringConvertible {
    init(rawValue: UInt128)
}

extension Identifier {
    public var description: String { Hexadecimal.string(of: rawValue) }

    /// Parses exactly 32 lower-case hexadecimal digits.
    public init?(_ text: some StringProtocol) {
        guard let value = Hexadecimal.value(of: text) else { return nil }
        self.init(rawValue: value)
    }

    package static func random() -> Self { Self(rawValue: .random(in: 1...UInt128.max)) }

    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Names a checkpoint; also the id of the attempt that made it.
public struct CheckpointID: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}

/// Names a store for as long as it exists.
public struct StoreID: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}

/// Names a run. Run ids sort by the time the run began (Formats/store-layout.md, Names).
public struct RunID: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }

    /// Milliseconds since 1970 in the id's first six bytes.
    package var milliseconds: UInt64 { UInt64(truncatingIfNeeded: rawValue >> 80) }

    /// A run id later than both the clock and every id in `existing`.
    package static func next(clockMilliseconds: UInt64, after newest: RunID?) -> RunID {
        let last: UInt64 = 0xFFFF_FFFF_FFFF
        // Past the last time that an id can hold only the id itself can still grow.
        if let newest, newest.milliseconds == last {
            return RunID(rawValue: max(newest.rawValue, newest.rawValue &+ 1))
        }
        let floor = newest.map { $0.milliseconds + 1 } ?? 0
        let time = UInt128(min(max(clockMilliseconds, floor), last))
        return RunID(rawValue: time << 80 | UInt128.random(in: 0..<(1 << 80)))
    }
}

/// A 128-bit XXH3 hash in canonical form.
public struct Hash128: Identifier {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}

package enum Hexadecimal {
    /// The value of a lower-case digit.
    static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    package static func string(of value: UInt128) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }

    package static func value(of text: some StringProtocol) -> UInt128? {
        let isHexadecimal = text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard text.utf8.count == 32, isHexadecimal else { return nil }
        return UInt128(text, radix: 16)
    }
}
