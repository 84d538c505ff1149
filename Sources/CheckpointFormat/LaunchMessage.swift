/// A message of one rank in the directory of its launch (Formats/store-layout.md, Names).
package struct LaunchMessage: Hashable, Sendable {
    /// Time of the message, in milliseconds since 1970.
    package var milliseconds: Int
    /// Id of the process that sent it.
    package var life: CheckpointID
    /// What it says.
    package var content: [UInt8]

    /// Maximum size of a message's file, in bytes.
    package static let bytesMax = headerBytes + 4096

    private static let headerBytes = 24

    package init(milliseconds: Int, life: CheckpointID, content: [UInt8]) {
        (self.milliseconds, self.life, self.content) = (milliseconds, life, content)
    }

    /// Parses a file; nil if it is too short.
    package init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes[...])
        do throws(FormatError) {
            milliseconds = Int(clamping: try reader.integer(UInt64.self))
            life = try reader.identifier()
        } catch { return nil }
        content = Array(bytes.dropFirst(Self.headerBytes))
    }

    /// Returns the bytes of the file.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.integer(UInt64(clamping: milliseconds))
        writer.identifier(life)
        return writer.bytes + content
    }

    /// Returns the name of the file of a rank's message.
    ///
    /// - Parameters:
    ///   - call: number of the exchange in the launch, from 0.
    ///   - rank: the sender.
    package static func name(call: Int, rank: Int) -> String {
        Decimal.string(of: call, digits: 6) + "-" + Decimal.string(of: rank, digits: 5)
            + ".message"
    }
}
