import CheckpointCodecs
import CheckpointFormat
internal import CheckpointIO
import CheckpointSegments
import CheckpointTestSupport
import Testing

@Suite("Damaged segments", .timeLimit(.minutes(20)))
struct DamageTests {
    private struct Sealed {
        var store: TemporaryStore
        var reference: SegmentReference
        var entries: [Written.Entry]
        var bytes: [UInt8]

        init() throws {
            store = try TemporaryStore()
            let writer = store.writer()
            var layout = SegmentLayout()
            var random = SeededGenerator(9)
            entries = []
            for (raw, compression) in [
                (random.bytes(5000), Compression.none), ([UInt8](repeating: 1, count: 9000), .lz4),
                ([UInt8](repeating: 2, count: 9000), .zstd(level: 1)),
            ] {
                entries.append(try write(raw, compression, writer) { layout.place(bytes: $0) })
            }
            reference = try writer.seal().references[0]
            bytes = try store.contents(of: store.directories.path(of: reference.name))
        }

        /// Puts other bytes in the file's place.
        func replace(_ bytes: [UInt8]) throws {
            let path = store.directories.path(of: reference.name)
            try store.fileSystem.remove(path)
            try store.put(bytes, at: path)
        }

        /// What the verifier says: findings, or the error that it stops with.
        func verdict() -> [SegmentError] {
            do { return try store.findings(reference).findings } catch let error as SegmentError {
                return [error]
            } catch {
                Issue.record("\(error)")
                return []
            }
        }
    }

    @Test("A bit flipped in any page is found, and named where it is")
    func flips() throws {
        let sealed = try Sealed()
        #expect(sealed.verdict().isEmpty)
        var random = SeededGenerator(1)
        for round in 0..<120 {
            let index = round < 8 ? round * sealed.bytes.count / 8 : random.below(sealed.bytes.count)
            var changed = sealed.bytes
            changed[index] ^= 1 << UInt8(random.below(8))
            try sealed.replace(changed)
            let verdict = sealed.verdict()
            #expect(verdict.count == 1, "byte \(index)")
            guard case .format(_, let error)? = verdict.first else {
                Issue.record("byte \(index): \(verdict)")
                continue
            }
            if let entry = sealed.entries.first(where: { ($0.location.offset..<$0.location.paddedEnd).contains(index) })
            {
                let isPadding = index >= entry.location.offset + entry.location.storedBytes
                #expect(error.offset == (isPadding ? index : entry.location.offset), "byte \(index)")
            }
        }
    }

    @Test("Every block that is hurt is reported, the others are not")
    func severalBlocks() throws {
        let sealed = try Sealed()
        var changed = sealed.bytes
        for entry in [sealed.entries[0], sealed.entries[2]] { changed[entry.location.offset] ^= 1 }
        try sealed.replace(changed)
        let offsets = sealed.verdict().map { error -> Int? in
            if case .format(_, let cause) = error { return cause.offset }
            return nil
        }
        #expect(offsets == [sealed.entries[0].location.offset, sealed.entries[2].location.offset])
        #expect(try sealed.store.read(sealed.entries[1], [sealed.reference]) == sealed.entries[1].raw)
        for entry in [sealed.entries[0], sealed.entries[2]] {
            #expect(throws: SegmentError.self) { try sealed.store.read(entry, [sealed.reference]) }
        }
    }

    @Test("A segment cut anywhere is damaged, and does not open for reading")
    func cuts() throws {
        let sealed = try Sealed()
        for count in [0, 1, 4095, 4096, 8191, 8192, 12288, sealed.bytes.count - 4096, sealed.bytes.count - 1] {
            try sealed.replace(Array(sealed.bytes.prefix(count)))
            #expect(sealed.verdict().count == 1, "cut at \(count)")
            let error = #expect(throws: SegmentError.self) {
                try sealed.store.read(sealed.entries[0], [sealed.reference])
            }
            guard case .format(_, let cause)? = error else {
                Issue.record("cut at \(count): \(String(describing: error))")
                continue
            }
            #expect(cause.offset == count)
        }
    }

    @Test("Under another name it is refused; longer than it should be, too")
    func names() throws {
        let sealed = try Sealed()
        var other = sealed.reference
        other.name.number += 1
        try sealed.store.put(sealed.bytes, at: sealed.store.directories.path(of: other.name))
        #expect(throws: SegmentError.self) { try sealed.store.findings(other) }
        try sealed.replace(sealed.bytes + [UInt8](repeating: 0, count: 4096))
        #expect(sealed.verdict().count == 1)
    }

    @Test("A block whose row lies about it is refused, and never read past its memory")
    func lies() throws {
        let sealed = try Sealed()
        for index in sealed.entries.indices {
            for change in [
                { $0.storedHash ^= 1 }, { $0.offset += 4096 }, { $0.storedBytes += 1 }, { $0.codec = .zstd },
                { $0.offset = 1 << 35 },
            ] as [(inout SegmentBlock) -> Void] {
                var entry = sealed.entries[index]
                change(&entry.location)
                // The manifest's decoder lets no raw block through whose sizes differ.
                let isImpossible = entry.location.codec == .raw && entry.location.storedBytes != entry.location.rawBytes
                if entry.location == sealed.entries[index].location || isImpossible { continue }
                #expect(throws: SegmentError.self, "block \(index): \(entry.location)") {
                    try sealed.store.read(entry, [sealed.reference])
                }
            }
        }
        for index in 1...2 {
            for difference in [-1, 1] {
                var entry = sealed.entries[index]
                entry.location.rawBytes += difference
                let error = #expect(throws: SegmentError.self) { try sealed.store.read(entry, [sealed.reference]) }
                guard case .codec(_, let offset, _)? = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
                #expect(offset == entry.location.offset)
            }
        }
    }
}
