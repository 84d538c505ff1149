package import CheckpointFormat
internal import GRDB

extension Catalog {
    /// Returns the names of all checkpoints in the catalog, for comparison with the listing of
    /// `manifests/`.
    ///
    /// - Returns: The names; a name that is not valid is left out.
    /// - Throws: `CatalogError` if the catalog is damaged or locked.
    package func names() throws(CatalogError) -> Set<ManifestName> {
        Set(
            try read { try String.fetchAll($0, sql: "SELECT name FROM checkpoint") }.compactMap {
                ManifestName($0)
            })
    }

    /// Returns the segments that checkpoints in the catalog reference.
    ///
    /// - Returns: The names; a name that is not valid is left out.
    /// - Throws: `CatalogError` if the catalog is damaged or locked.
    package func segmentsInUse() throws(CatalogError) -> Set<SegmentName> {
        let names = try read {
            try String.fetchAll($0, sql: "SELECT DISTINCT segment FROM segment_use")
        }
        return Set(names.compactMap { SegmentName($0) })
    }

    /// Returns checkpoints in descending order of their names: by run, then by step.
    ///
    /// - Parameter limit: Maximum number of checkpoints; nil for all.
    /// - Throws: `CatalogError` if the catalog is damaged or locked.
    package func entries(limit: Int? = nil) throws(CatalogError) -> [CatalogEntry] {
        try entries(where: "TRUE", [], limit: limit)
    }

    /// Returns the checkpoint with this name, or nil if the catalog does not have it.
    ///
    /// - Parameter name: File name of the checkpoint's manifest.
    /// - Throws: `CatalogError` if the catalog is damaged or locked.
    package func entry(named name: ManifestName) throws(CatalogError) -> CatalogEntry? {
        try entries(where: "name = ?", [name.description], limit: 1).first
    }

    /// Returns the checkpoints whose id begins with these hexadecimal digits.
    ///
    /// - Parameter prefix: 1 to 32 lower-case hexadecimal digits.
    /// - Returns: Names of the checkpoints' manifests.
    /// - Throws: `CatalogError` if the catalog is damaged or locked.
    package func names(idPrefix prefix: String) throws(CatalogError) -> [ManifestName] {
        // All hexadecimal digits sort before "g".
        let names = try read {
            try String.fetchAll(
                $0, sql: "SELECT name FROM checkpoint WHERE id >= ? AND id < ?",
                arguments: [prefix, prefix + "g"])
        }
        return names.compactMap { ManifestName($0) }
    }

    /// Returns the values of one metric by checkpoint. A NULL in the database is NaN.
    ///
    /// - Parameter metric: Name of the metric.
    /// - Returns: The values; checkpoints without the metric are left out.
    /// - Throws: `CatalogError` if the catalog is damaged or locked.
    package func values(of metric: String) throws(CatalogError) -> [ManifestName: Double] {
        try read { database in
            var values: [ManifestName: Double] = [:]
            let rows = try Row.fetchCursor(
                database, sql: "SELECT checkpoint, value FROM metric WHERE metric = ?",
                arguments: [metric])
            while let row = try rows.next() {
                guard let name = String.fromDatabaseValue(row[0]).flatMap({ ManifestName($0) })
                else { continue }
                values[name] = Double.fromDatabaseValue(row[1]) ?? .nan
            }
            return values
        }
    }

    /// Returns what each checkpoint is in its run, without metrics and sizes.
    ///
    /// - Throws: `CatalogError` if the catalog is damaged or locked.
    package func members() throws(CatalogError) -> [ManifestName: RunMember] {
        try read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT name, run_name, created_ms, parent_id, parent_run, parent_step,
                      origin_kind, origin_store, origin_run, branch, restart FROM checkpoint
                    """)
            var members: [ManifestName: RunMember] = [:]
            while let row = try rows.next() {
                guard let name = ManifestName(try text(row, "name")) else { continue }
                members[name] = RunMember(
                    name: name, runName: try text(row, "run_name"),
                    created: try count(row, "created_ms"),
                    parent: parent(row)?.name, origin: try origin(row))
            }
            return members
        }
    }

    private func entries(
        where condition: String, _ arguments: StatementArguments, limit: Int?
    ) throws(CatalogError) -> [CatalogEntry] {
        try read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT name, id, run, run_name, step, created_ms, parent_id, parent_run, parent_step,
                      origin_kind, origin_store, origin_run, branch, restart, world_size,
                      tensor_count, object_count, bytes_logical, bytes_stored, bytes_bases, manifest_bytes, manifest_hash
                    FROM checkpoint WHERE \(condition) ORDER BY name DESC LIMIT \(limit ?? -1)
                    """, arguments: arguments)
            let metrics = rows.count > 64 ? try Self.allMetrics(database) : nil
            return try rows.map { row in
                var entry = try Self.entry(row)
                entry.metrics =
                    try metrics.map { $0[entry.name] ?? [:] }
                    ?? Self.metrics(of: entry.name, database)
                return entry
            }
        }
    }

    /// Decodes a row of the checkpoint table. A damaged database can contain any value in any
    /// column, so every value is checked.
    ///
    /// The columns are named in the query too, where a wrong name is an error. Asking a row for a
    /// column that it does not have would trap.
    private static func entry(_ row: Row) throws -> CatalogEntry {
        func text(_ column: String) throws -> String { try CheckpointCatalog.text(row, column) }
        func count(_ column: String) throws -> Int { try CheckpointCatalog.count(row, column) }
        guard let name = ManifestName(try text("name")), let id = CheckpointID(try text("id")),
            let hash = Hash128(try text("manifest_hash")),
            name.run.description == (try text("run")),
            name.step == (try count("step"))
        else { throw CatalogError("the columns of a checkpoint row contradict each other") }
        return CatalogEntry(
            name: name, id: id, runName: try text("run_name"), created: try count("created_ms"),
            parent: parent(row), origin: try origin(row),
            worldSize: try count("world_size"), tensorCount: try count("tensor_count"),
            objectCount: try count("object_count"), logicalBytes: try count("bytes_logical"),
            storedBytes: try count("bytes_stored"), baseBytes: try count("bytes_bases"),
            manifestBytes: try count("manifest_bytes"),
            manifestHash: hash,
            metrics: [:])
    }

    private static func metrics(of name: ManifestName, _ database: Database) throws -> [String:
        Double]
    {
        let rows = try Row.fetchAll(
            database, sql: "SELECT metric, value FROM metric WHERE checkpoint = ?",
            arguments: [name.description])
        var metrics: [String: Double] = [:]
        for row in rows { try add(row, to: &metrics) }
        return metrics
    }

    /// Reads all metrics of all checkpoints in one query.
    private static func allMetrics(_ database: Database) throws -> [ManifestName: [String: Double]]
    {
        var metrics: [ManifestName: [String: Double]] = [:]
        let rows = try Row.fetchCursor(
            database, sql: "SELECT metric, value, checkpoint FROM metric")
        while let row = try rows.next() {
            guard let name = String.fromDatabaseValue(row[2]).flatMap({ ManifestName($0) }) else {
                continue
            }
            try add(row, to: &metrics[name, default: [:]])
        }
        return metrics
    }

    private static func add(_ row: Row, to metrics: inout [String: Double]) throws {
        guard let metric = String.fromDatabaseValue(row[0]) else {
            throw CatalogError("invalid metric")
        }
        metrics[metric] = Double.fromDatabaseValue(row[1]) ?? .nan
    }
}

/// Returns a text of a row of the checkpoint table.
private func text(_ row: Row, _ column: String) throws -> String {
    guard let value = String.fromDatabaseValue(row[column]) else {
        throw CatalogError("invalid \(column)")
    }
    return value
}

/// Returns a number of a row of the checkpoint table.
private func count(_ row: Row, _ column: String) throws -> Int {
    guard let value = Int.fromDatabaseValue(row[column]), value >= 0 else {
        throw CatalogError("invalid \(column)")
    }
    return value
}

private func parent(_ row: Row) -> Manifest.Parent? {
    guard let id = String.fromDatabaseValue(row["parent_id"]).flatMap({ CheckpointID($0) }),
        let run = String.fromDatabaseValue(row["parent_run"]).flatMap({ RunID($0) }),
        let step = Int.fromDatabaseValue(row["parent_step"])
    else { return nil }
    return Manifest.Parent(id: id, run: run, step: step)
}

private func origin(_ row: Row) throws -> CheckpointOrigin {
    guard let kind = CheckpointOrigin.Kind(rawValue: try text(row, "origin_kind")),
        let store = StoreID(try text(row, "origin_store")),
        let run = RunID(try text(row, "origin_run")),
        let branch = RunID(try text(row, "branch"))
    else { throw CatalogError("invalid origin") }
    return CheckpointOrigin(
        kind: kind, store: store, run: run, branch: branch, restart: try count(row, "restart"))
}
