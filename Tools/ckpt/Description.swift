import CheckpointFormat
import Checkpointing
import Foundation

// A checkpoint as JSON: the keys that `inspect` and `restore` share with Formats/reader/read_checkpoint.py.

extension JSONValue {
    static func metrics(_ metrics: [(String, Double)]) -> JSONValue {
        .object(metrics.map { Member($0.0, .metric($0.1)) })
    }

    static func strings(_ strings: [String]) -> JSONValue { .array(strings.map { .string($0) }) }

    static func error(_ error: CheckpointError) -> JSONValue {
        .object([
            .init("code", .string(error.code.rawValue)), .init("message", .string(error.message)),
            .init("path", error.path.map { .string($0) } ?? .null),
            .init("offset", error.offset.map { .count($0) } ?? .null),
        ])
    }

    /// What names a checkpoint.
    static func label(_ id: CheckpointID, _ run: RunID, _ step: Int) -> JSONValue {
        .object([.init("id", .hex(id)), .init("run", .hex(run)), .init("step", .count(step))])
    }

    func adding(_ members: [Member]) -> JSONValue {
        guard case .object(let own) = self else { return self }
        return .object(own + members)
    }
}

extension Manifest {
    var description: JSONValue {
        .object([
            .init("id", .hex(id)), .init("run", .hex(run)), .init("run_name", .string(runName)),
            .init("step", .count(step)),
            .init("created_ms", .count(created)), .init("writer", .string(writer)), .init("store", .hex(store)),
            .init("parent", parent.map { .label($0.id, $0.run, $0.step) } ?? .null),
            .init("metrics", .metrics(metrics.map { ($0.name, $0.value) })),
            .init("bytes", .count(logicalBytes)), .init("stored_bytes", .count(storedBytes)),
        ])
    }

    /// Those of which the name matches one of the patterns; all if there is none.
    func tensors(matching globs: [String]) throws -> [(number: Int, record: TensorRecord)] {
        let patterns = globs.map { NamePattern($0) }
        let matching = tensors.enumerated().filter { tensor in patterns.isEmpty || patterns.contains { $0.matches(tensor.element.name) } }
        if !patterns.isEmpty, matching.isEmpty {
            let names = patterns.map(\.description).joined(separator: ", ")
            throw CheckpointError(.notFound, "no tensor of step \(step) matches \(names)", remedy: "ckpt inspect lists them all")
        }
        return matching.map { ($0.offset, $0.element) }
    }

    /// How the chunks in these rows are stored.
    func storage(of rows: [Range<Int>]) -> Storage {
        var storage = Storage()
        for chunk in rows.flatMap({ chunks[$0] }) {
            let block = blocks[chunk.block]
            storage.chunkCount += 1
            storage.bytes += chunk.bytes
            // A block that several chunks share is divided among them.
            storage.stored += Double(block.storedBytes) * Double(chunk.bytes) / Double(block.rawBytes)
            if !storage.codecs.contains(block.codec.name) { storage.codecs.append(block.codec.name) }
        }
        return storage
    }

    struct Storage {
        var chunkCount = 0
        var bytes = 0
        var stored = 0.0
        var codecs: [String] = []
        var storedBytes: Int { Int(stored.rounded()) }
    }

    /// What resuming needs, and whether it is there.
    var completeness: [(part: String, isPresent: Bool)] {
        func has(_ role: ObjectRole) -> Bool { objects.contains { $0.role == role } }
        func has(_ role: TensorRole) -> Bool { tensors.contains { $0.role == role } }
        return [
            ("parameters", has(TensorRole.parameter)),
            ("optimizer", has(TensorRole.optimizer) || has(ObjectRole.optimizer)),
            ("rng", has(ObjectRole.rng)), ("data", has(ObjectRole.data)), ("schedule", has(ObjectRole.schedule)),
        ]
    }
}

extension TensorRecord {
    func description(_ storage: Manifest.Storage, _ digest: Hash128?) -> JSONValue {
        .object(
            [
                .init("name", .string(name)), .init("type", .string(type.rawValue)), .init("shape", .counts(shape)),
                .init("role", .string(role.rawValue)), .init("bytes", .count(bytes)),
                .init("chunks", .count(storage.chunkCount)),
                .init("codecs", .strings(storage.codecs)), .init("stored_bytes", .count(storage.storedBytes)),
            ] + (digest.map { [.init("digest", .hex($0))] } ?? []))
    }
}

/// An object that has been read.
struct ObjectContent {
    let record: ObjectRecord
    let bytes: [UInt8]
    /// Its value, if it is JSON that this program can say again without changing a number.
    let value: JSONValue?

    init(_ record: ObjectRecord, _ reader: ContentReader) throws {
        self.record = record
        bytes = try reader.object(record)
        value = record.encoding == .json ? try? JSONParser.parse(bytes[...]) : nil
    }

    var digest: Hash128 { Hashing.digest(bytes[...]) }
    var text: String { String(decoding: bytes, as: UTF8.self) }

    func description(withDigest: Bool) -> JSONValue {
        .object(
            [
                .init("name", .string(record.name)), .init("role", .string(record.role.rawValue)),
                .init("encoding", .string(record.encoding.rawValue)), .init("bytes", .count(record.bytes)),
            ] + (withDigest ? [.init("digest", .hex(digest))] : []) + valueMembers)
    }

    /// JSON with integers beyond 64 bits, which the parser refuses, is passed on as the text that it is.
    private var valueMembers: [JSONValue.Member] {
        guard record.encoding == .json else { return [] }
        return [value.map { .init("value", $0) } ?? .init("value_text", .string(text))]
    }
}
