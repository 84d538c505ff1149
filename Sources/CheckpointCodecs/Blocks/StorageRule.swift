/// The rule for storing a block raw.
package enum StorageRule {
    /// Returns true if an encoding saves at least 1/64 of the size, which makes it worth decoding
    /// later (Formats/codecs.md).
    ///
    /// - Parameters:
    ///   - storedBytes: Size of the encoding.
    ///   - rawBytes: Size of the block.
    package static func isWorthwhile(storedBytes: Int, rawBytes: Int) -> Bool {
        storedBytes <= rawBytes - max(rawBytes / 64, 1)
    }
}
