// The JSON part of a manifest (Formats/manifest.md, JSON).

extension Manifest {
    /// The text of the JSON part. It is written tensor by tensor, because a tree of all tensors
    /// would take ten times the memory of the text.
    package var directoryText: [UInt8] {
        var writer = JSONWriter()
        writer.append("{")
        for member in head {
            writer.write(member)
            writer.append(",")
        }
        writer.write(string: "tensors")
        writer.append(":")
        writer.list("[", tensors, "]") { $0.write($1.json) }
        for member in tail {
            writer.append(",")
            writer.write(member)
        }
        writer.append("}")
        return writer.bytes
    }

    /// The members before `tensors`.
    private var head: [JSONValue.Member] {
        let origin: [JSONValue.Member] = recordedOrigin.map { [.init("origin", $0.json)] } ?? []
        let check: [JSONValue.Member] =
            transferCheck.map { [.init("transfer_check", .string($0))] } ?? []
        return [
            .init("id", .hex(id)), .init("store", .hex(store)), .init("run", .hex(run)),
            .init("run_name", .string(runName)), .init("step", .count(step)),
            .init("created_ms", .count(created)),
            .init("writer", .string(writer)), .init("parent", parent?.json ?? .null),
        ] + origin + check + [
            .init("world_size", .count(worldSize)), .init("rank", .count(rank)),
            .init("metrics", .object(metrics.map { .init($0.name, .metric($0.value)) })),
            .init("groups", .array(groups.map(\.json))),
        ]
    }

    /// The members after `tensors`.
    private var tail: [JSONValue.Member] {
        [.init("objects", .array(objects.map(\.json)))]
            + (root?.json ?? [.init("parts", .array([]))])
    }

    /// Decodes the JSON part. The tables are not set; the caller does that.
    ///
    /// - Parameters:
    ///   - directory: The parsed JSON part.
    ///   - header: The header.
    ///   - chunks: The chunk table, for checks.
    /// - Throws: Damage if a rule of Formats/manifest.md is broken.
    init(directory: JSONValue, header: ManifestHeader, chunks: [ChunkRecord]) throws(FormatError) {
        let offset = ManifestHeader.bytes
        let fields = try JSONFields(directory, "manifest", offset: offset)
        self.init(
            id: try fields.identifier("id"), store: try fields.identifier("store"),
            run: try fields.identifier("run"),
            runName: try fields.string("run_name"), step: try fields.count("step"),
            created: try fields.count("created_ms"), writer: try fields.string("writer"))
        kind = header.kind
        parent = try fields.nullable("parent").map { value throws(FormatError) in
            try Parent(value, offset: offset)
        }
        if fields.has("origin") {
            recordedOrigin = try CheckpointOrigin(try fields.value("origin"), offset: offset)
        }
        if fields.has("transfer_check") { transferCheck = try fields.string("transfer_check") }
        worldSize = try fields.count("world_size", atMost: Limits.worldSizeMax)
        rank = try fields.count("rank", atMost: Limits.worldSizeMax - 1)
        guard worldSize >= 1, rank < worldSize else {
            throw fields.error("rank \(rank) is not below the world size \(worldSize)")
        }
        let isRoot = header.features.contains(.parts)
        guard isRoot ? kind == .checkpoint && worldSize > 1 : kind == .part || worldSize == 1
        else {
            throw fields.error(
                isRoot
                    ? "a manifest of kind \(kind) and \(worldSize) ranks has feature parts"
                    : "a manifest of \(worldSize) ranks lacks feature parts")
        }
        metrics = try Self.metrics(try fields.value("metrics"), fields)
        for value in try fields.array("groups", atMost: Limits.groupsMax) {
            groups.append(try Group(value, offset: offset))
        }
        let head = ManifestHead(features: header.features, worldSize: worldSize, rank: rank)
        guard !isRoot || chunks.isEmpty && header.segmentCount == 0 && rank == 0 else {
            throw fields.error("a manifest with tables, or of rank \(rank), has feature parts")
        }
        for (index, value) in try fields.array("tensors", atMost: Limits.tensorsPerManifestMax)
            .enumerated()
        {
            tensors.append(
                try TensorRecord(
                    value, index: index, groups: groups, chunks: chunks, head: head,
                    offset: offset))
        }
        for (index, value) in try fields.array("objects", atMost: Limits.tensorsPerManifestMax)
            .enumerated()
        {
            objects.append(
                isRoot
                    ? try ObjectRecord(
                        root: value, index: index, worldSize: worldSize, offset: offset)
                    : try ObjectRecord(value, index: index, chunks: chunks, offset: offset))
        }
        if isRoot {
            guard tensors.allSatisfy(\.shards.isEmpty) else {
                throw fields.error("a manifest with shards has feature parts")
            }
            root = try RootRecord(
                fields, worldSize: worldSize, tensors: tensors.count, offset: offset)
        } else if try !fields.array("parts", atMost: Limits.worldSizeMax).isEmpty {
            throw fields.error("parts are present without feature parts")
        }
        try checkNames(fields)
    }

    private func checkNames(_ fields: JSONFields) throws(FormatError) {
        guard Set(tensors.map { ByteName($0.name) }).count == tensors.count else {
            throw fields.error("two tensors have the same name")
        }
        guard Set(objects.map { ByteName($0.name) }).count == objects.count else {
            throw fields.error("two objects have the same name")
        }
    }

    private static func metrics(_ value: JSONValue, _ fields: JSONFields) throws(FormatError)
        -> [Metric]
    {
        guard case .object(let members) = value, members.count <= Limits.metricsMax else {
            throw fields.error("metrics is not an object of at most \(Limits.metricsMax) numbers")
        }
        var metrics: [Metric] = []
        for member in members {
            guard let number = number(member.value) else {
                throw fields.error("metric \(member.key) is not a number")
            }
            metrics.append(Metric(name: member.key, value: number))
        }
        return metrics
    }

    private static func number(_ value: JSONValue) -> Double? {
        switch value {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        case .string("nan"): .nan
        case .string("inf"): .infinity
        case .string("-inf"): -.infinity
        default: nil
        }
    }
}

extension Manifest.Parent {
    var json: JSONValue {
        .object([.init("id", .hex(id)), .init("run", .hex(run)), .init("step", .count(step))])
    }

    init(_ value: JSONValue, offset: Int) throws(FormatError) {
        let fields = try JSONFields(value, "parent", offset: offset)
        self.init(
            id: try fields.identifier("id"), run: try fields.identifier("run"),
            step: try fields.count("step"))
    }
}

extension Manifest.Group {
    var json: JSONValue {
        .object([.init("name", .string(name)), .init("epoch", .count(Int(epoch)))])
    }

    init(_ value: JSONValue, offset: Int) throws(FormatError) {
        let fields = try JSONFields(value, "group", offset: offset)
        self.init(
            name: try fields.string("name"),
            epoch: UInt32(truncatingIfNeeded: try fields.count("epoch")))
    }
}

extension TensorRecord {
    var json: JSONValue {
        let copies: [JSONValue.Member] =
            copies.isEmpty ? [] : [.init("copies", .array(copies.map(\.json)))]
        return .object(
            [
                .init("name", .string(name)), .init("type", .string(type.rawValue)),
                .init("shape", .counts(shape)),
                .init("role", .string(role.rawValue)), .init("group", .count(group)),
                .init("shards", .array(shards.map(\.json))),
            ] + copies)
    }

    init(
        _ value: JSONValue, index: Int, groups: [Manifest.Group], chunks: [ChunkRecord],
        head: ManifestHead, offset: Int
    ) throws(FormatError) {
        let fields = try JSONFields(value, "tensor \(index)", offset: offset)
        for key in ["cast_of", "alias_of"] where fields.has(key) {
            throw fields.error("\(key) is present without its feature")
        }
        name = try fields.name("name")
        let typeName = try fields.string("type")
        guard let type = ElementType(rawValue: typeName) else {
            throw fields.error("unknown type \(typeName)")
        }
        guard !type.needsFeature || head.features.contains(.types) else {
            throw fields.error("type \(typeName) is used without feature types")
        }
        self.type = type
        shape = try fields.counts("shape", atMost: Limits.rankOfTensorMax)
        guard TensorShape.byteCount(shape, type) != nil else {
            throw fields.error("shape \(shape) is too large, or splits a byte of \(type)")
        }
        role = TensorRole(rawValue: try fields.string("role")) ?? .other
        group = try fields.count("group")
        guard group < groups.count else { throw fields.error("group \(group) does not exist; there are \(groups.count) groups") }
        shards = []
        for value in try fields.array("shards", atMost: Limits.worldSizeMax) {
            let epoch = groups[group].epoch
            shards.append(
                try ShardRecord(
                    value, of: self, epoch: epoch, chunks: chunks, head: head, offset: offset))
        }
        if let fault = shardFault(isComplete: head.worldSize == 1) {
            throw fields.error(fault.text)
        }
        guard fields.has("copies") else { return }
        guard head.worldSize > 1, !head.features.contains(.parts) else {
            throw fields.error("copies are present outside a part")
        }
        for value in try fields.array("copies", atMost: Limits.worldSizeMax) {
            let copy = try CopyRecord(value, of: self, offset: offset)
            if let fault = fault(of: copy.region, "copy \(copies.count)") {
                throw fields.error(fault)
            }
            copies.append(copy)
        }
    }
}

extension ObjectRecord {
    var json: JSONValue {
        .object([
            .init("name", .string(name)), .init("role", .string(role.rawValue)),
            .init("encoding", .string(encoding.rawValue)), .init("bytes", .count(bytes)),
            .init("first", .count(chunks.lowerBound)), .init("count", .count(chunks.count)),
        ] + (rank.map { [.init("rank", .count($0))] } ?? []))
    }

    private init(_ fields: JSONFields, chunks: Range<Int>) throws(FormatError) {
        name = try fields.name("name")
        role = ObjectRole(rawValue: try fields.string("role")) ?? .other
        let encodingName = try fields.string("encoding")
        guard let encoding = ObjectEncoding(rawValue: encodingName) else {
            throw fields.error("unknown encoding \(encodingName)")
        }
        self.encoding = encoding
        bytes = try fields.count("bytes")
        self.chunks = chunks
    }

    /// Decodes an object that is in the part of a rank.
    init(root value: JSONValue, index: Int, worldSize: Int, offset: Int) throws(FormatError) {
        let fields = try JSONFields(value, "object \(index)", offset: offset)
        try self.init(fields, chunks: try fields.chunkRange(in: []))
        rank = try fields.count("rank", atMost: worldSize - 1)
    }

    init(_ value: JSONValue, index: Int, chunks table: [ChunkRecord], offset: Int)
        throws(FormatError)
    {
        let fields = try JSONFields(value, "object \(index)", offset: offset)
        try self.init(fields, chunks: try fields.chunkRange(in: table))
        guard bytes == table[chunks].totalBytes else {
            throw fields.error("its size of \(bytes) bytes is not that of its chunks")
        }
        guard table[chunks].allSatisfy({ $0.epoch == 0 }) else {
            throw fields.error("a chunk of an object has an epoch")
        }
    }
}

extension JSONFields {
    /// Reads `first` and `count` as a range of rows of the chunk table.
    ///
    /// - Throws: Damage if the rows are outside the table.
    func chunkRange(in table: [ChunkRecord]) throws(FormatError) -> Range<Int> {
        let first = try count("first", atMost: table.count)
        return first..<first + (try count("count", atMost: table.count - first))
    }
}

extension ArraySlice<ChunkRecord> {
    var totalBytes: Int { reduce(0) { $0 + $1.bytes } }
}
