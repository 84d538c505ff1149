import CheckpointCodecs
import CheckpointFormat
import CheckpointSegments
import Testing

@Suite("Valid vectors", .timeLimit(.minutes(20)))
struct ValidVectorTests {
    @Test("Every valid manifest decodes to what is expected", arguments: Vector.all("valid", "manifest"))
    func manifest(_ vector: Vector) throws {
        let found = try VectorDecoding.manifest(vector.bytes)
        let expected = try withNumbers(vector.expected)
        #expect(canonical(found) == expected)
    }

    /// What is expected, with metrics as binary64, which is how they are read.
    private func withNumbers(_ expected: JSONFields) throws -> String {
        let members = try VectorDecoding.manifestKeys.map { key -> JSONValue.Member in
            let value = try expected.value(key)
            guard key == "metrics", case .object(let metrics) = value else { return .init(key, value) }
            return .init(
                key,
                .object(
                    metrics.map { metric in
                        guard case .integer(let integer) = metric.value else { return metric }
                        return .init(metric.key, .number(Double(integer)))
                    }))
        }
        let origin: [JSONValue.Member] = expected.has("origin") ? [.init("origin", try expected.value("origin"))] : []
        let check: [JSONValue.Member] =
            expected.has("transfer_check") ? [.init("transfer_check", try expected.value("transfer_check"))] : []
        return canonical(.object(members + origin + check))
    }

    @Test("Every valid segment passes the verifier", arguments: Vector.all("valid", "segment"))
    func segment(_ vector: Vector) throws {
        let found = try VectorDecoding.segment(vector.bytes, file: vector.file)
        #expect(canonical(found) == (try canonical(vector.expected, VectorDecoding.segmentKeys)))
    }

    @Test(
        "Every valid store.json is read, and would be written with the same check",
        arguments: Vector.all("valid", "store"))
    func store(_ vector: Vector) throws {
        let found = try VectorDecoding.store(vector.bytes)
        #expect(canonical(found) == (try canonical(vector.expected, VectorDecoding.storeKeys)))
    }

    @Test("Every valid block decodes to its raw bytes", arguments: Vector.all("valid", "block"))
    func block(_ vector: Vector) throws {
        let digest = try VectorDecoding.block(vector.bytes, vector.about)
        #expect(try digest == vector.expected.identifier("digest"))
    }
}

@Suite("Invalid vectors", .timeLimit(.minutes(20)))
struct InvalidVectorTests {
    private func check(_ error: FormatError?, _ vector: Vector) throws {
        guard let error else {
            Issue.record("\(vector.name) was accepted: \(try vector.about.string("why"))")
            return
        }
        #expect(error.kind.rawValue == (try vector.error), "\(error)")
        if let offset = try vector.offset { #expect(error.offset == offset, "\(error)") }
    }

    @Test("Every invalid manifest is refused for its fault", arguments: Vector.all("invalid", "manifest"))
    func manifest(_ vector: Vector) throws {
        try check(#expect(throws: FormatError.self) { try VectorDecoding.manifest(vector.bytes) }, vector)
    }

    @Test("Every invalid store.json is refused for its fault", arguments: Vector.all("invalid", "store"))
    func store(_ vector: Vector) throws {
        try check(#expect(throws: FormatError.self) { try VectorDecoding.store(vector.bytes) }, vector)
    }

    @Test("Every invalid segment is refused for its fault", arguments: Vector.all("invalid", "segment"))
    func segment(_ vector: Vector) throws {
        let file = try vector.file
        let error = #expect(throws: SegmentError.self) { try VectorDecoding.segment(vector.bytes, file: file) }
        guard case .format(_, let cause)? = error else {
            Issue.record("\(vector.name): \(String(describing: error)) does not name a place in the format")
            return
        }
        try check(cause, vector)
    }

    @Test("Every invalid block is refused by its codec", arguments: Vector.all("invalid", "block"))
    func block(_ vector: Vector) throws {
        #expect(try vector.error == "damage")
        #expect(throws: CodecError.self) { try VectorDecoding.block(vector.bytes, vector.about) }
    }
}
