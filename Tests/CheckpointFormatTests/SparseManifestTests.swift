import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

/// Tensors that are decoded one at a time are those of the whole manifest.
@Suite("Sparse manifest", .timeLimit(.minutes(20)))
struct SparseManifestTests {
    private func sparse(_ bytes: [UInt8]) throws -> SparseManifest {
        try #require(try SparseManifest(decoding: bytes[...], digest: Hashing.digest))
    }

    /// A manifest file with another text for its tensors, and the hash made right again.
    private func file(_ manifest: Manifest, tensors text: String) throws -> [UInt8] {
        var empty = manifest
        (empty.tensors, empty.objects) = ([], [])
        (empty.chunks, empty.blocks, empty.segments) = ([], [], [])
        var bytes = empty.encoded(digest: Hashing.digest)
        let json = String(decoding: empty.directoryText, as: UTF8.self)
        let replaced = Array(
            json.replacing("\"tensors\":[]", with: "\"tensors\":" + text).utf8)
        let (old, new) = (json.utf8.count, replaced.count)
        bytes.replaceSubrange(64..<(64 + old + 7) / 8 * 8, with: replaced)
        bytes.insert(
            contentsOf: [UInt8](repeating: 0, count: (8 - (64 + new) % 8) % 8), at: 64 + new)
        func put(_ value: Int, _ count: Int, at offset: Int) {
            for index in 0..<count { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
        }
        put(new, 4, at: 20)
        put(bytes.count, 8, at: 40)
        bytes.replaceSubrange(
            bytes.count - 16..<bytes.count,
            with: canonicalBytes(Hashing.digest(bytes.dropLast(16))))
        return bytes
    }

    @Test("Each tensor is that of the whole manifest, with the same tables", arguments: Seeds.first(150))
    func sameTensors(_ seed: UInt64) throws {
        let manifest = RandomManifest.make(seed)
        let sparse = try sparse(manifest.encoded(digest: Hashing.digest))
        #expect(sparse.tensorCount == manifest.tensors.count)
        for (index, tensor) in manifest.tensors.enumerated() {
            #expect(try sparse.index(ofTensor: tensor.name) == index)
            var one = manifest
            one.tensors = [tensor]
            #expect(try sparse.manifest(ofTensor: index) == one)
        }
        #expect(try sparse.index(ofTensor: "no tensor has a name as long as this one") == nil)
        #expect(try sparse.decoded(digest: Hashing.digest) == manifest)
    }

    @Test("Entries of other writers are found: spaced, in another order, with other escapes")
    func otherWriters() throws {
        let rest = #""type":"f32","shape":[0],"role":"other","group":0,"shards":[]"#
        let bytes = try file(
            RandomManifest.make(3),
            tensors: """
                [ {\(rest), "name" : "last, [first]"} , {"name":"sl\\/ash\\u00e9",\(rest)},
                  { "name":"\\"{", \(rest)},{"name":"plain",\(rest)} ]
                """)
        let whole = try decoded(bytes)
        #expect(whole.tensors.map(\.name) == ["last, [first]", "sl/ash\u{E9}", "\"{", "plain"])
        let sparse = try sparse(bytes)
        for (index, tensor) in whole.tensors.enumerated() {
            #expect(try sparse.index(ofTensor: tensor.name) == index)
            #expect(try sparse.manifest(ofTensor: index).tensors == [tensor])
        }
    }

    @Test("An entry that breaks a rule is damage when it is asked for, at an offset in it")
    func brokenEntry() throws {
        let rest = #""shape":[0],"role":"other","group":0,"shards":[]"#
        let bytes = try file(
            RandomManifest.make(3),
            tensors: #"[{"name":"good","type":"f32",\#(rest)},{"name":"bad","type":"f33",\#(rest)},7]"#)
        let sparse = try sparse(bytes)
        #expect(try sparse.manifest(ofTensor: 0).tensors.map(\.name) == ["good"])
        for index in 1...2 {
            let error = #expect(throws: FormatError.self) { try sparse.manifest(ofTensor: index) }
            #expect(error?.kind == .damage)
        }
        #expect(throws: FormatError.self) { try sparse.decoded(digest: Hashing.digest) }
    }

    @Test("A list of tensors that does not end is refused", arguments: ["[{\"name\":\"a]}", "[[]", "[\"\\"])
    func unended(_ text: String) throws {
        let bytes = try file(RandomManifest.make(3), tensors: text)
        #expect(throws: FormatError.self) {
            try SparseManifest(decoding: bytes[...], digest: Hashing.digest)
        }
    }

    @Test("With any byte flipped it is refused")
    func flippedBytes() throws {
        let bytes = RandomManifest.make(5).encoded(digest: Hashing.digest)
        for index in bytes.indices {
            var flipped = bytes
            flipped[index] ^= 0x10
            #expect(throws: FormatError.self) {
                try SparseManifest(decoding: flipped[...], digest: Hashing.digest)
            }
        }
    }
}
