package import CheckpointFormat
internal import GRDB

extension Catalog {
    /// Names of all checkpoints in the catalog, to be compared with the listing of `manifests/`.
    package func names() throws(CatalogError) -> Set<ManifestName> {
        Set(try read { try String.fetchAll($0, sql: "SELECT name FROM checkpoint") }.compactMap { ManifestName($0) })
    }

    /// Segments that checkpoints in the catalog name.
    package func segmentsInUse() throws(CatalogError) -> Set<SegmentName> {
        let names = try read { try String.fetchAll($0, sql: "SELECT DISTINCT segment FROM segment_use") }
        return Set(names.compactMap { SegmentName($0) })
    }

    /// Checkpoints, newest first, at most `limit`.
    package func entries(limit: Int? = nil) throws(CatalogError) -> [CatalogEntry] {
        try entries(where: "TRUE", [], limit: limit)
    }

    /// Checkpoints with these names.
    package func entry(named name: ManifestName) throws(CatalogError) -> CatalogEntry? {
        try entries(where: "name = ?", [name.description], limit: 1).first
    }

    /// Checkpoints whose id begins so.
    package func names(idPrefix prefix: String) throws(CatalogError) -> [ManifestName] {
        // No digit sorts behind g.
        let names = try read {
            try String.fetchAll($0, sql: "SELECT name FROM checkpoint WHERE id >= ? AND id < ?", arguments: [prefix, prefix + "g"])
        }
        return names.compactMap { ManifestName($0) }
    }

    /// The values of one metric; NaN where it is that.
    package func values(of metric: String) throws(CatalogError) -> [ManifestName: Double] {
        try read { database in
            var values: [ManifestName: Double] = [:]
            let rows = try Row.fetchCursor(database, sql: "SELECT checkpoint, value FROM metric WHERE metric = ?", arguments: [metric])
            while let row = try rows.next() {
                guard let name = String.fromDatabaseValue(row[0]).flatMap({ ManifestName($0) }) else { continue }
                values[name] = Double.fromDatabaseValue(row[1]) ?? .nan
            }
            return values
        }
    }

    private func entries(
        where condition: String, _ arguments: StatementArguments, limit: Int?
    ) throws(CatalogError) -> [CatalogEntry] {
        try read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT name, id, run, run_name, step, created_ms, parent_id, world_size,
                      tensor_count, object_count, bytes_logical, bytes_stored, manifest_bytes, manifest_hash
                    FROM checkpoint WHERE \(condition) ORDER BY name DESC LIMIT \(limit ?? -1)
                    """, arguments: arguments)
            let metrics = rows.count > 64 ? try Self.allMetrics(database) : nil
            return try rows.map { row in
                var entry = try Self.entry(row)
                entry.metrics = try metrics.map { $0[entry.name] ?? [:] } ?? Self.metrics(of: entry.name, database)
                return entry
            }
        }
    }

    /// A damaged database can hold anything in any column: nothing is taken on trust. (The columns are named in the query, where a wrong
    /// name is an error; asking a row for a column that it does not have would trap.)
    private static func entry(_ row: Row) throws -> CatalogEntry {
        func text(_ column: String) throws -> String {
            guard let value = String.fromDatabaseValue(row[column]) else { throw CatalogError("bad \(column)") }
            return value
        }
        func count(_ column: String) throws -> Int {
            guard let value = Int.fromDatabaseValue(row[column]), value >= 0 else { throw CatalogError("bad \(column)") }
            return value
        }
        guard let name = ManifestName(try text("name")), let id = CheckpointID(try text("id")),
            let hash = Hash128(try text("manifest_hash")), name.run.description == (try text("run")),
            name.step == (try count("step"))
        else { throw CatalogError("a checkpoint row contradicts itself") }
        return CatalogEntry(
            name: name, id: id, runName: try text("run_name"), created: try count("created_ms"),
            parent: String.fromDatabaseValue(row["parent_id"]).flatMap { CheckpointID($0) },
            worldSize: try count("world_size"), tensorCount: try count("tensor_count"),
            objectCount: try count("object_count"), logicalBytes: try count("bytes_logical"),
            storedBytes: try count("bytes_stored"), manifestBytes: try count("manifest_bytes"), manifestHash: hash,
            metrics: [:])
    }

    private static func metrics(of name: ManifestName, _ database: Database) throws -> [String: Double] {
        let rows = try Row.fetchAll(
            database, sql: "SELECT metric, value FROM metric WHERE checkpoint = ?", arguments: [name.description])
        var metrics: [String: Double] = [:]
        for row in rows { try add(row, to: &metrics) }
        return metrics
    }

    /// All metrics of all checkpoints, in one query.
    private static func allMetrics(_ database: Database) throws -> [ManifestName: [String: Double]] {
        var metrics: [ManifestName: [String: Double]] = [:]
        let rows = try Row.fetchCursor(database, sql: "SELECT metric, value, checkpoint FROM metric")
        while let row = try rows.next() {
            guard let name = String.fromDatabaseValue(row[2]).flatMap({ ManifestName($0) }) else { continue }
            try add(row, to: &metrics[name, default: [:]])
        }
        return metrics
    }

    private static func add(_ row: Row, to metrics: inout [String: Double]) throws {
        guard let metric = String.fromDatabaseValue(row[0]) else { throw CatalogError("bad metric") }
        metrics[metric] = Double.fromDatabaseValue(row[1]) ?? .nan
    }
}
