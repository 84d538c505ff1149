internal import CKernels
internal import CheckpointFormat

/// Offsets of table, words and escapes in the encoding of `count` bytes in mode `top`.
struct TopLayout {
    /// Size of the number before encoded escapes, in bytes.
    static let countBytes = 4

    let bits: Int
    let tableBytes: Int
    let wordsEnd: Int

    init(bits: Int, count: Int) {
        self.bits = bits
        tableBytes = 1 << bits - 1
        wordsEnd = tableBytes + (count + 63) / 64 * 8 * bits
    }
}
