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
        return [
            .init("id", .hex(id)), .init("store", .hex(store)), .init("run", .hex(run)),
            .init("run_name", .string(runName)), .init("step", .count(step)),
            .init("created_ms", .count(created)),
            .init("writer", .string(writer)), .init("parent", parent?.json ?? .null),
        ] + origin + [
            .init("world_size", .count(worldSize)), .init("rank", .count(rank)),
            .init("metrics", .object(metrics.map { .init($0.name, .metric($0.value)) })),
            .init("groups", .array(groups.map(\.json))),
        ]
    }

    /// The members after `tensors`.
    private var tail: [JSONValue.Member] {
        [.init("objects", .array(objects.map(\.json))), .init("parts", .array([]))]
    }

    /// Decodes the JSON part. The tables are not set; the caller does that.
    ///
    /// - Parameters:
    ///   - directory: The parsed JSON part.
    ///   - kind: The kind in the header.
    ///   - chunks: The chunk table, for checks.
    /// - Throws: Damage if a rule of Formats/manifest.md is broken.
    init(
        directory: JSONValue, kind: Kind, features: Set<RequiredFeature>, chunks: [ChunkRecord]
    ) throws(FormatError) {
        let offset = ManifestHeader.bytes
        let fields = try JSONFields(directory, "manifest", offset: offset)
        self.init(
            id: try fields.identifier("id"), store: try fields.identifier("store"),
            run: try fields.identifier("run"),
            runName: try fields.string("run_name"), step: try fields.count("step"),
            created: try fields.count("created_ms"), writer: try fields.string("writer"))
        self.kind = kind
        parent = try fields.nullable("parent").map { value throws(FormatError) in
            try Parent(value, offset: offset)
        }
        if fields.has("origin") {
            recordedOrigin = try CheckpointOrigin(try fields.value("origin"), offset: offset)
        }
        worldSize = try fields.count("world_size", atMost: Limits.worldSizeMax)
        rank = try fields.count("rank", atMost: Limits.worldSizeMax - 1)
        guard worldSize >= 1, rank < worldSize else {
            throw fields.error("rank \(rank) of \(worldSize)")
        }
        guard kind == .part || worldSize == 1 else {
            throw fields.error("\(worldSize) ranks without feature parts")
        }
        metrics = try Self.metrics(try fields.value("metrics"), fields)
        for value in try fields.array("groups", atMost: Limits.groupsMax) {
            groups.append(try Group(value, offset: offset))
        }
        for (index, value) in try fields.array("tensors", atMost: Limits.tensorsPerManifestMax)
            .enumerated()
        {
            tensors.append(
                try TensorRecord(
                    value, index: index, groups: groups, features: features, chunks: chunks,
                    offset: offset))
        }
        for (index, value) in try fields.array("objects", atMost: Limits.tensorsPerManifestMax)
            .enumerated()
        {
            objects.append(try ObjectRecord(value, index: index, chunks: chunks, offset: offset))
        }
        guard try fields.array("parts", atMost: Limits.worldSizeMax).isEmpty else {
            throw fields.error("parts without feature parts")
        }
        try checkNames(fields)
        if worldSize == 1 { try checkCoverage(fields) }
    }

    private func checkNames(_ fields: JSONFields) throws(FormatError) {
        guard Set(tensors.map { Array($0.name.utf8) }).count == tensors.count else {
            throw fields.error("two tensors have one name")
        }
        guard Set(objects.map { Array($0.name.utf8) }).count == objects.count else {
            throw fields.error("two objects have one name")
        }
    }

    /// Checks that the shards of every tensor hold all of its elements. Applies to a checkpoint of
    /// one rank; shards do not overlap, so it is enough to count.
    private func checkCoverage(_ fields: JSONFields) throws(FormatError) {
        for tensor in tensors {
            let held = tensor.shards.reduce(0) {
                $0 + (TensorShape.elementCount($1.descriptor.extent) ?? 0)
            }
            guard held == TensorShape.elementCount(tensor.shape) else {
                throw fields.error("the shards of \(tensor.name) hold \(held) of its elements")
            }
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
        .object([
            .init("name", .string(name)), .init("type", .string(type.rawValue)),
            .init("shape", .counts(shape)),
            .init("role", .string(role.rawValue)), .init("group", .count(group)),
            .init("shards", .array(shards.map(\.json))),
        ])
    }

    init(
        _ value: JSONValue, index: Int, groups: [Manifest.Group], features: Set<RequiredFeature>,
        chunks: [ChunkRecord], offset: Int
    ) throws(FormatError) {
        let fields = try JSONFields(value, "tensor \(index)", offset: offset)
        for key in ["cast_of", "alias_of"] where fields.has(key) {
            throw fields.error("\(key) without its feature")
        }
        name = try fields.name("name")
        let typeName = try fields.string("type")
        guard let type = ElementType(rawValue: typeName) else {
            throw fields.error("unknown type \(typeName)")
        }
        guard !type.needsFeature || features.contains(.types) else {
            throw fields.error("type \(typeName) without feature types")
        }
        self.type = type
        shape = try fields.counts("shape", atMost: Limits.rankOfTensorMax)
        guard TensorShape.byteCount(shape, type) != nil else {
            throw fields.error("shape \(shape) is too large, or not of whole bytes of \(type)")
        }
        role = TensorRole(rawValue: try fields.string("role")) ?? .other
        group = try fields.count("group")
        guard group < groups.count else { throw fields.error("group \(group) of \(groups.count)") }
        shards = []
        for value in try fields.array("shards", atMost: Limits.worldSizeMax) {
            let epoch = groups[group].epoch
            shards.append(
                try ShardRecord(value, type: type, epoch: epoch, chunks: chunks, offset: offset))
        }
        try checkShards(fields)
    }

    private func checkShards(_ fields: JSONFields) throws(FormatError) {
        guard shards.count <= 1 || !shape.contains(0) else {
            throw fields.error("several shards of an empty tensor")
        }
        for (index, shard) in shards.enumerated() {
            guard shard.descriptor.lies(inside: shape) else {
                throw fields.error("shard \(index) lies outside \(shape)")
            }
            guard TensorShape.isWholeBytes(shard.descriptor, of: shape, type) else {
                throw fields.error("shard \(index) of \(shape) cuts a byte of \(type)")
            }
            guard !shards[..<index].contains(where: { $0.descriptor.overlaps(shard.descriptor) })
            else {
                throw fields.error("shard \(index) overlaps another")
            }
        }
    }
}

extension ShardRecord {
    var json: JSONValue {
        .object([
            .init("offset", .counts(descriptor.offset)),
            .init("extent", .counts(descriptor.extent)),
            .init("first", .count(chunks.lowerBound)), .init("count", .count(chunks.count)),
        ])
    }

    init(
        _ value: JSONValue, type: ElementType, epoch: UInt32, chunks table: [ChunkRecord],
        offset: Int
    ) throws(FormatError) {
        let fields = try JSONFields(value, "shard", offset: offset)
        descriptor = ShardDescriptor(
            offset: try fields.counts("offset", atMost: Limits.rankOfTensorMax),
            extent: try fields.counts("extent", atMost: Limits.rankOfTensorMax))
        chunks = try fields.chunkRange(in: table)
        guard let bytes = TensorShape.byteCount(descriptor.extent, type),
            bytes == table[chunks].totalBytes
        else {
            throw fields.error(
                "extent \(descriptor.extent) does not have the \(table[chunks].totalBytes) bytes of its chunks"
            )
        }
        guard table[chunks].allSatisfy({ $0.epoch == epoch }) else {
            throw fields.error("a chunk does not have its group's epoch \(epoch)")
        }
    }
}

extension ObjectRecord {
    var json: JSONValue {
        .object([
            .init("name", .string(name)), .init("role", .string(role.rawValue)),
            .init("encoding", .string(encoding.rawValue)), .init("bytes", .count(bytes)),
            .init("first", .count(chunks.lowerBound)), .init("count", .count(chunks.count)),
        ])
    }

    init(_ value: JSONValue, index: Int, chunks table: [ChunkRecord], offset: Int)
        throws(FormatError)
    {
        let fields = try JSONFields(value, "object \(index)", offset: offset)
        name = try fields.name("name")
        role = ObjectRole(rawValue: try fields.string("role")) ?? .other
        let encodingName = try fields.string("encoding")
        guard let encoding = ObjectEncoding(rawValue: encodingName) else {
            throw fields.error("unknown encoding \(encodingName)")
        }
        self.encoding = encoding
        bytes = try fields.count("bytes")
        chunks = try fields.chunkRange(in: table)
        guard bytes == table[chunks].totalBytes else {
            throw fields.error("\(bytes) bytes are not those of its chunks")
        }
        guard table[chunks].allSatisfy({ $0.epoch == 0 }) else {
            throw fields.error("an object's chunk has an epoch")
        }
    }
}

extension JSONFields {
    /// Reads `first` and `count` as a range of rows of the chunk table.
    ///
    /// - Throws: Damage if the rows are outside the table.
    fileprivate func chunkRange(in table: [ChunkRecord]) throws(FormatError) -> Range<Int> {
        let first = try count("first", atMost: table.count)
        return first..<first + (try count("count", atMost: table.count - first))
    }
}

extension ArraySlice<ChunkRecord> {
    fileprivate var totalBytes: Int { reduce(0) { $0 + $1.bytes } }
}
