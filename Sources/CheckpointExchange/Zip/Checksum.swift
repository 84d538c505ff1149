internal import CZlib
internal import SystemPackage

/// Check of the CRC-32 of an entry that is stored without compression.
enum Checksum {
    static func check(_ entry: ZipArchive.Entry, _ file: ForeignFile) throws(ExchangeError) {
        var sum: UInt = 0
        for start in stride(from: entry.range.lowerBound, to: entry.range.upperBound, by: 1 << 20) {
            let bytes = try file.read(count: min(1 << 20, entry.range.upperBound - start), at: start)
            sum = unsafe bytes.withUnsafeBufferPointer { unsafe crc32_z(sum, $0.baseAddress, $0.count) }
        }
        guard UInt32(truncatingIfNeeded: sum) == entry.crc32 else {
            throw .damage(
                file.path.string, "zip archive: entry \(quoted(entry.name)) does not match its checksum")
        }
    }
}
