extension ByteReader {
    package mutating func codec() throws(FormatError) -> CodecIdentifier {
        let start = offset
        let number = try integer(UInt8.self)
        guard let codec = CodecIdentifier(rawValue: number) else {
            throw .unsupported(at: start, "codec \(number), which this version of ckpt cannot read")
        }
        return codec
    }
}
