internal import Foundation
internal import GRDB
package import SystemPackage

/// The SQLite index over a store's manifests (Formats/catalog/). Local, rebuildable, and never trusted over a manifest.
///
/// Opened with a rollback journal and no memory map, so that a full disk is an error and not a signal that kills the
/// trainer (Formats/durability.md, section 11).
package final class Catalog: Sendable {
    package enum Access: Sendable { case reading, writing }

    private let database: DatabaseQueue

    /// Opens the catalog at `path`; a writer creates it if it is missing.
    /// - Throws: `CatalogError` if it is missing (reading), of another version, or not a catalog.
    package init(path: FilePath, access: Access) throws(CatalogError) {
        var configuration = Configuration()
        configuration.readonly = access == .reading
        configuration.busyMode = .timeout(5)
        configuration.foreignKeysEnabled = true
        configuration.label = "ckpt.catalog"
        // The engine's threads are not Swift tasks; a suspended process must not be killed for holding a lock either.
        configuration.observesSuspensionNotifications = false
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA mmap_size = 0; PRAGMA synchronous = NORMAL")
            if access == .writing { try database.execute(sql: "PRAGMA journal_mode = TRUNCATE") }
        }
        database = try Self.wrapping { [configuration] in
            try DatabaseQueue(path: path.string, configuration: configuration)
        }
        if try !read(Self.checkVersion) { try create(access) }
    }

    /// Whether the catalog has been created; throws if it is somebody else's.
    private static func checkVersion(_ database: Database) throws -> Bool {
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema") ?? 0
        if version == 0, application == 0, tables == 0 { return false }
        guard version == CatalogSchema.version, application == CatalogSchema.applicationID else {
            throw CatalogError("catalog version \(version), application \(application); \(CatalogSchema.version) was expected")
        }
        return true
    }

    private func create(_ access: Access) throws(CatalogError) {
        guard access == .writing else { throw CatalogError("the catalog is empty") }
        try write { database in
            for statement in CatalogSchema.statements { try database.execute(sql: statement) }
            try database.execute(sql: "PRAGMA application_id = \(CatalogSchema.applicationID)")
            try database.execute(sql: "PRAGMA user_version = \(CatalogSchema.version)")
        }
    }

    /// Checks every page and index. Slow in proportion to the catalog's size.
    package func checkIntegrity() throws(CatalogError) {
        let findings = try read { try String.fetchAll($0, sql: "PRAGMA integrity_check(10)") }
        guard findings == ["ok"] else { throw CatalogError("integrity check: \(findings.joined(separator: "; "))") }
    }

    /// The SQL that made the catalog, for comparison with Formats/catalog/schema.sql.
    package func schema() throws(CatalogError) -> [String] {
        try read { try String.fetchAll($0, sql: "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name") }
    }

    func read<T>(_ body: (Database) throws -> T) throws(CatalogError) -> T {
        try Self.wrapping { try database.read(body) }
    }

    func write<T>(_ body: (Database) throws -> T) throws(CatalogError) -> T {
        try Self.wrapping { try database.write(body) }
    }

    private static func wrapping<T>(_ body: () throws -> T) throws(CatalogError) -> T {
        do { return try body() } catch let error as CatalogError { throw error } catch {
            let code = (error as? DatabaseError)?.resultCode
            throw CatalogError("SQLite: \(error)", isBusy: code == .SQLITE_BUSY || code == .SQLITE_LOCKED)
        }
    }
}
