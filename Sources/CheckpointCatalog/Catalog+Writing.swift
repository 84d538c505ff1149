internal import CheckpointCodecs
package import CheckpointFormat
internal import Foundation
internal import GRDB

extension Catalog {
    /// Minimum size in bytes of a chunk with its own row. Smaller chunks are packed into a
    /// block and found with the block, so a row for each would not pay.
    private static let indexedChunkBytesMin = 64 << 10

    /// Adds checkpoints in one transaction. An existing row with the same name is replaced.
    ///
    /// - Parameter checkpoints: The rows to add, each with its manifest.
    /// - Throws: `CatalogError` if the database is damaged, full or locked; the catalog is
    ///   unchanged.
    package func insert(_ checkpoints: [(entry: CatalogEntry, manifest: Manifest)])
        throws(CatalogError)
    {
        try write { database in
            for (entry, manifest) in checkpoints {
                let layout = try Self.layout(of: manifest, database)
                try Self.insert(entry, layout: layout, database)
                try Self.insertMetrics(entry, database)
                try Self.insertSegments(manifest, database)
                try Self.insertChunks(manifest, database)
            }
        }
    }

    /// Deletes checkpoints in one transaction. Names that the catalog does not have are ignored.
    ///
    /// - Parameters:
    ///   - names: The names of the manifests.
    ///   - isDurable: True if no loss of power may bring them back.
    /// - Throws: `CatalogError` if the database is damaged, full or locked; the catalog is
    ///   unchanged.
    package func delete(_ names: [ManifestName], isDurable: Bool = false) throws(CatalogError) {
        try write(isDurable: isDurable) { database in
            for name in names {
                try database.execute(
                    sql: "DELETE FROM checkpoint WHERE name = ?", arguments: [name.description])
            }
            try database.execute(
                sql: "DELETE FROM layout WHERE layout NOT IN (SELECT layout FROM checkpoint)")
        }
    }

    private static func insert(_ entry: CatalogEntry, layout: Int64, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT OR REPLACE INTO checkpoint (name, id, run, run_name, step, created_ms, parent_id, parent_run, parent_step,
                  origin_kind, origin_store, origin_run, branch, restart, world_size,
                  layout, tensor_count, object_count, bytes_logical, bytes_stored, bytes_bases, manifest_bytes, manifest_hash)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                entry.name.description, entry.id.description, entry.name.run.description,
                entry.runName,
                entry.name.step, entry.created, entry.parent?.id.description,
                entry.parent?.run.description,
                entry.parent?.step, entry.origin.kind.rawValue, entry.origin.store.description,
                entry.origin.run.description, entry.origin.branch.description, entry.origin.restart,
                entry.worldSize, layout, entry.tensorCount, entry.objectCount,
                entry.logicalBytes, entry.storedBytes, entry.baseBytes, entry.manifestBytes,
                entry.manifestHash.description,
            ])
    }

    private static func insertMetrics(_ entry: CatalogEntry, _ database: Database) throws {
        for (name, value) in entry.metrics {
            // SQLite stores NaN as NULL. The column allows NULL, and readers convert it back.
            try database.execute(
                sql: "INSERT INTO metric (checkpoint, metric, value) VALUES (?, ?, ?)",
                arguments: [entry.name.description, name, value.isNaN ? nil : value])
        }
    }

    private static func insertSegments(_ manifest: Manifest, _ database: Database) throws {
        for segment in manifest.segments {
            try database.execute(
                sql: "INSERT OR IGNORE INTO segment_use (checkpoint, segment) VALUES (?, ?)",
                arguments: [manifest.name.description, segment.name.description])
        }
    }

    private static func insertChunks(_ manifest: Manifest, _ database: Database) throws {
        let statement = try database.cachedStatement(
            sql: "INSERT OR IGNORE INTO chunk (hash, checkpoint, row) VALUES (?, ?, ?)")
        for (row, chunk) in manifest.chunks.enumerated() where chunk.bytes >= indexedChunkBytesMin {
            var writer = ByteWriter(capacity: 16)
            writer.identifier(chunk.hash)
            try statement.execute(arguments: [Data(writer.bytes), manifest.name.description, row])
        }
    }

    /// Returns the row of the manifest's tensor list, and adds it if it is missing. Checkpoints
    /// with the same tensors share a row.
    private static func layout(of manifest: Manifest, _ database: Database) throws -> Int64 {
        let digest = layoutDigest(manifest)
        if let known = try Int64.fetchOne(
            database, sql: "SELECT layout FROM layout WHERE digest = ?", arguments: [digest])
        {
            return known
        }
        try database.execute(sql: "INSERT INTO layout (digest) VALUES (?)", arguments: [digest])
        let layout = database.lastInsertedRowID
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO tensor (layout, position, name, type, shape, role, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)
                """)
        for (position, tensor) in manifest.tensors.enumerated() {
            try statement.execute(arguments: [
                layout, position, tensor.name, tensor.type.rawValue, tensor.shape.description,
                tensor.role.rawValue,
                tensor.bytes,
            ])
        }
        return layout
    }

    /// Returns a digest of the tensor list. Each name is preceded by its length, so that two
    /// different lists never give the same text.
    private static func layoutDigest(_ manifest: Manifest) -> String {
        var text = ""
        for tensor in manifest.tensors {
            text +=
                "\(tensor.name.utf8.count):\(tensor.name) \(tensor.type) \(tensor.shape) \(tensor.role)\n"
        }
        return Hashing.digest(Array(text.utf8)[...]).description
    }
}
