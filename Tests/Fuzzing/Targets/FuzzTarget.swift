internal import CheckpointCodecs
internal import CheckpointFormat

/// What a fuzzer feeds: one function over bytes for every decoder of the format. Refusing bytes is fine; dying of them is not, and the
/// functions die themselves where a decoder gives something else than it should.
package enum FuzzTarget: String, CaseIterable, Sendable {
    case raw, lz4, zstd, planes, delta
    /// Encoding and decoding again.
    case roundTrip = "round-trip"
    case manifest, segment, json, store

    package func run(_ bytes: [UInt8]) {
        switch self {
        case .raw: Self.decode(.raw, bytes)
        case .lz4: Self.decode(.lz4, bytes)
        case .zstd: Self.decode(.zstd, bytes)
        case .planes: Self.decode(.planes, bytes)
        case .delta: Self.decode(.delta, bytes)
        case .roundTrip: RoundTrip(bytes).run()
        case .manifest: Self.manifest(bytes)
        case .segment: Self.segment(bytes)
        case .json: Self.json(bytes)
        case .store: Self.store(bytes)
        }
    }

    /// The first two bytes are the size to decode to, the rest is what is stored. A decoder that writes past it is what the address
    /// sanitizer sees: the room is an allocation of exactly that size.
    private static func decode(_ codec: CodecIdentifier, _ bytes: [UInt8]) {
        guard bytes.count >= 2 else { return }
        let size = Int(bytes[0]) | Int(bytes[1] & 0x3F) << 8
        let stored = FuzzMemory(Array(bytes.dropFirst(2)))
        let raw = FuzzMemory([UInt8](repeating: 0, count: size))
        do throws(CodecError) {
            if codec == .delta {
                let base = FuzzMemory((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 37) })
                try DeltaCodec().decode(stored.region, base: base.region, into: raw.region)
            } else {
                try CodecRegistry.decode(codec, stored.region, into: raw.region)
            }
        } catch {
            precondition(error.codec == codec && !error.message.isEmpty)
        }
    }

    /// No fuzzer finds a hash of 128 bits: here a hash is right, whatever it is. It stands behind the bytes that it is of.
    private static func believing(_ bytes: [UInt8]) -> Digest {
        { part in
            guard part.endIndex + 16 <= bytes.count else { return Hash128(rawValue: 0) }
            return Hash128(rawValue: bytes[part.endIndex..<part.endIndex + 16].reduce(0) { $0 << 8 | UInt128($1) })
        }
    }

    private static func manifest(_ bytes: [UInt8]) {
        // Refused bytes are what a fuzzer mostly has.
        let whole = try? Manifest(decoding: bytes[...], digest: believing(bytes))
        guard let sparse = try? SparseManifest(decoding: bytes[...], digest: believing(bytes)) else {
            precondition(whole?.root != nil || whole == nil, "what is read is refused without its tensors")
            return
        }
        for index in 0..<sparse.tensorCount {
            // Nothing that one reader accepts may be refused, or read differently, by the other.
            let tensors = (try? sparse.manifest(ofTensor: index))?.tensors
            guard let whole else { continue }
            precondition(tensors == [whole.tensors[index]])
            precondition((try? sparse.index(ofTensor: whole.tensors[index].name)) == index)
        }
    }

    private static func segment(_ bytes: [UInt8]) {
        _ = try? SegmentHeader(decoding: bytes[...], digest: believing(bytes))
        do throws(FormatError) {
            let trailer = try SegmentIndex.Trailer(decoding: bytes.suffix(SegmentIndex.trailerBytes), fileBytes: bytes.count)
            let index = try SegmentIndex(
                decoding: bytes[trailer.indexOffset..<trailer.fileBytes], trailer: trailer, digest: believing(bytes))
            for block in index.blocks { precondition(block.paddedEnd <= bytes.count) }
        } catch {
            precondition(!error.message.isEmpty)
        }
    }

    /// What is read is written, and read again, the same.
    private static func json(_ bytes: [UInt8]) {
        guard let value = try? JSONParser.parse(bytes[...]) else { return }
        let text = value.text
        guard let again = try? JSONParser.parse(text[...]) else { preconditionFailure("what was written is not read") }
        precondition(again.text == text)
    }

    private static func store(_ bytes: [UInt8]) {
        _ = try? StoreIdentity(decoding: bytes[...]) { _ in Hash128(rawValue: 0) }
    }
}
