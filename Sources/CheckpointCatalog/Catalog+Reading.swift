package import CheckpointFormat
internal import GRDB

extension Catalog {
    /// Names of all checkpoints in the catalog, to be compared with the listing of `manifests/`.
    package func names() throws(CatalogError) -> Set<ManifestName> {
        Set(try read { try String.fetchAll($0, sql: "SELECT name FROM checkpoint") }.compactMap { ManifestName($0) })
    }

    /// Checkpoints, newest first, at most `limit`.
    package func entries(limit: Int? = nil) throws(CatalogError) -> [CatalogEntry] {
        try entries(where: "TRUE", [], limit: limit)
    }

    /// Checkpoints with these names.
    package func entry(named name: ManifestName) throws(CatalogError) -> CatalogEntry? {
        try entries(where: "name = ?", [name.description], limit: 1).first
    }

    /// Segments that are named by a checkpoint.
    package func segmentsInUse() throws(CatalogError) -> Set<SegmentName> {
        Set(try read { try String.fetchAll($0, sql: "SELECT DISTINCT segment FROM segment_use") }.compactMap { SegmentName($0) })
    }

    private func entries(
        where condition: String, _ arguments: StatementArguments, limit: Int?
    ) throws(CatalogError) -> [CatalogEntry] {
        try read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT name, id, run, run_name, step, created_ms, parent_id, world_size, object_count,
                      bytes_logical, bytes_stored, manifest_bytes, manifest_hash,
                      (SELECT count(*) FROM tensor WHERE tensor.layout = checkpoint.layout) AS tensor_count
                    FROM checkpoint WHERE \(condition) ORDER BY name DESC LIMIT \(limit ?? -1)
                    """, arguments: arguments)
            return try rows.map { try Self.entry($0, database) }
        }
    }

    /// A damaged database can hold anything in any column: nothing is taken on trust. (The columns are named in the query, where a wrong
    /// name is an error; asking a row for a column that it does not have would trap.)
    private static func entry(_ row: Row, _ database: Database) throws -> CatalogEntry {
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
            metrics: try metrics(of: name, database))
    }

    private static func metrics(of name: ManifestName, _ database: Database) throws -> [String: Double] {
        let rows = try Row.fetchAll(
            database, sql: "SELECT metric, value FROM metric WHERE checkpoint = ?", arguments: [name.description])
        var metrics: [String: Double] = [:]
        for row in rows {
            guard let metric = String.fromDatabaseValue(row["metric"]) else { throw CatalogError("bad metric") }
            metrics[metric] = Double.fromDatabaseValue(row["value"]) ?? .nan
        }
        return metrics
    }
}
