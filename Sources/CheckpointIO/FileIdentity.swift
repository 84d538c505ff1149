/// Identity of a file, independent of its names.
package struct FileIdentity: Sendable {
    package var device: UInt64
    package var number: UInt64
    /// Number of names (hard links).
    package var names: Int

    package init(device: UInt64, number: UInt64, names: Int) {
        self.device = device
        self.number = number
        self.names = names
    }

    /// Returns true if both are the same file.
    package func isSame(as other: FileIdentity) -> Bool { device == other.device && number == other.number }
}
