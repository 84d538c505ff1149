internal import Foundation

/// SplitMix64: equal seeds give equal numbers on every machine.
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    package init(_ seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    package mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            let word = next()
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Returns 128 random bits.
    package mutating func identifier() -> UInt128 { UInt128(next()) << 64 | UInt128(next()) }
}

/// Seeds for property tests. They are passed as test arguments, so that a failure prints its seed.
package enum Seeds {
    /// Returns the seeds of a test.
    ///
    /// - Parameter count: number of seeds.
    /// - Returns: 1 to `count`, or only the seed in the environment variable CKPT_TEST_SEED.
    package static func first(_ count: Int) -> [UInt64] {
        if let text = ProcessInfo.processInfo.environment["CKPT_TEST_SEED"], let seed = UInt64(text) { return [seed] }
        return (1...UInt64(count)).map { $0 }
    }

    /// Returns some of the seeds from 1 to `total`, others every day, so that all are tested within
    /// `total / count` days.
    ///
    /// - Parameters:
    ///   - count: number of seeds to return.
    ///   - total: number of seeds.
    /// - Returns: the seeds, or only the one in the environment variable CKPT_TEST_SEED.
    package static func ofTheDay(_ count: Int, of total: Int) -> [UInt64] {
        let all = first(total)
        guard all.count == total, count < total else { return all }
        let day = Int(Date().timeIntervalSince1970) / 86400
        return (0..<count).map { all[(day * count + $0) % total] }.sorted()
    }

    /// Returns a new seed for a test whose runs should differ. The test must print the seed when it
    /// fails.
    ///
    /// - Returns: a random seed, or the one in the environment variable CKPT_TEST_SEED.
    package static func random() -> UInt64 {
        let text = ProcessInfo.processInfo.environment["CKPT_TEST_SEED"]
        return text.flatMap { UInt64($0) } ?? .random(in: 0...UInt64.max)
    }
}
