/// A keyed shuffle of 0 ..< `count` that is computed per element, without a table.
///
/// The state of a shuffled walk is therefore three integers instead of the shuffled order. A
/// Feistel network permutes the next larger even power of two. A result outside the range is
/// permuted again until it is inside, which keeps the map one-to-one.
struct Permutation {
    let count: Int
    let key: UInt64
    private let halfBits: UInt64

    init(count: Int, key: UInt64) {
        precondition(count > 0)
        self.count = count
        self.key = key
        let bits = Int.bitWidth - (count - 1).leadingZeroBitCount
        halfBits = UInt64(max(bits + 1, 2) / 2)
    }

    func callAsFunction(_ index: Int) -> Int {
        precondition(index >= 0 && index < count)
        var value = UInt64(index)
        repeat { value = encipher(value) } while value >= UInt64(count)
        return Int(value)
    }

    private func encipher(_ value: UInt64) -> UInt64 {
        let mask = (1 as UInt64) &<< halfBits &- 1
        var (left, right) = (value &>> halfBits, value & mask)
        for round in 0..<4 as Range<UInt64> {
            var mixer = SplitMix64(state: key ^ (round &<< 60) ^ right)
            (left, right) = (right, left ^ (mixer.next() & mask))
        }
        return left &<< halfBits | right
    }
}
