internal import CheckpointCodecs
package import CheckpointFormat
internal import Foundation
internal import GRDB

extension Catalog {
    /// Chunks below this size are not worth a row: they are packed, and found again with their block.
    private static let indexedChunkBytesMin = 64 << 10

    /// Adds checkpoints, each given by its manifest, in one transaction. A row that is there already is replaced.
    package func insert(_ checkpoints: [(entry: CatalogEntry, manifest: Manifest)]) throws(CatalogError) {
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

    /// Removes checkpoints by manifest name, in one transaction.
    package func delete(_ names: [ManifestName]) throws(CatalogError) {
        try write { database in
            for name in names {
                try database.execute(sql: "DELETE FROM checkpoint WHERE name = ?", arguments: [name.description])
            }
            try database.execute(sql: "DELETE FROM layout WHERE layout NOT IN (SELECT layout FROM checkpoint)")
        }
    }

    private static func insert(_ entry: CatalogEntry, layout: Int64, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT OR REPLACE INTO checkpoint (name, id, run, run_name, step, created_ms, parent_id, world_size,
                  layout, tensor_count, object_count, bytes_logical, bytes_stored, manifest_bytes, manifest_hash)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                entry.name.description, entry.id.description, entry.name.run.description, entry.runName,
                entry.name.step, entry.created, entry.parent?.description, entry.worldSize, layout, entry.tensorCount,
                entry.objectCount,
                entry.logicalBytes, entry.storedBytes, entry.manifestBytes, entry.manifestHash.description,
            ])
    }

    private static func insertMetrics(_ entry: CatalogEntry, _ database: Database) throws {
        for (name, value) in entry.metrics {
            // SQLite stores NaN as NULL; the column allows it and readers turn it back.
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

    /// The row of the manifest's tensor directory; checkpoints with the same tensors share it.
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
                layout, position, tensor.name, tensor.type.rawValue, tensor.shape.description, tensor.role.rawValue,
                tensor.bytes,
            ])
        }
        return layout
    }

    /// The text that tells two tensor directories apart. Names are preceded by their length, so that no two lists share a text.
    private static func layoutDigest(_ manifest: Manifest) -> String {
        var text = ""
        for tensor in manifest.tensors {
            text += "\(tensor.name.utf8.count):\(tensor.name) \(tensor.type) \(tensor.shape) \(tensor.role)\n"
        }
        return Hashing.digest(Array(text.utf8)[...]).description
    }
}
