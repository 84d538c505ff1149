internal import Foundation
internal import GRDB
package import SystemPackage

/// The SQLite index of a store's manifests (Formats/catalog/). It is local, can be rebuilt, and a
/// manifest always takes precedence over it.
///
/// It is opened with a rollback journal and without a memory map, so that a full disk is an error
/// and not a signal that kills the trainer (Formats/durability.md, section 11).
package final class Catalog: Sendable {
    package enum Access: Sendable { case reading, writing }

    private let database: DatabaseQueue

    /// Opens the catalog. A writer creates it if it is missing.
    ///
    /// - Parameters:
    ///   - path: The database file.
    ///   - access: Read-only, or reading and writing.
    /// - Throws: `CatalogError` if the file has another version or is not a catalog, and when
    ///   reading if it is missing. `isTransient` is set if another process holds the lock for more than
    ///   5 seconds, or if the disk is full.
    package init(path: FilePath, access: Access) throws(CatalogError) {
        var configuration = Configuration()
        configuration.readonly = access == .reading
        configuration.busyMode = .timeout(5)
        configuration.foreignKeysEnabled = true
        configuration.label = "ckpt.catalog"
        // The engine's threads are not Swift tasks, and a suspended process must not be killed
        // because it holds a lock.
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

    /// Returns true if the catalog has been created, false if the database is empty.
    ///
    /// - Throws: `CatalogError` if the database has another version or belongs to another
    ///   application.
    private static func checkVersion(_ database: Database) throws -> Bool {
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema") ?? 0
        if version == 0, application == 0, tables == 0 { return false }
        guard application == CatalogSchema.applicationID else {
            throw CatalogError("it is the database of another application")
        }
        guard version == CatalogSchema.version else {
            throw CatalogError(
                "it has version \(version); version \(CatalogSchema.version) was expected",
                .ofAnotherVersion)
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

    /// Checks every page and index. Takes time in proportion to the catalog's size.
    ///
    /// - Throws: `CatalogError` with the first 10 findings.
    package func checkIntegrity() throws(CatalogError) {
        let findings = try read { try String.fetchAll($0, sql: "PRAGMA integrity_check(10)") }
        guard findings == ["ok"] else { throw CatalogError("integrity check: \(findings.joined(separator: "; "))") }
    }

    /// Returns the SQL that created the catalog, for comparison with Formats/catalog/schema.sql.
    ///
    /// - Returns: The statements, sorted by the name of what they create.
    /// - Throws: `CatalogError` if the catalog is damaged or locked.
    package func schema() throws(CatalogError) -> [String] {
        try read { try String.fetchAll($0, sql: "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name") }
    }

    func read<T>(_ body: (Database) throws -> T) throws(CatalogError) -> T {
        try Self.wrapping { try database.read(body) }
    }

    func write(
        isDurable: Bool = false, _ body: (Database) throws -> Void
    ) throws(CatalogError) {
        try Self.wrapping {
            guard isDurable else { return try database.write(body) }
            try database.writeWithoutTransaction { database in
                // SQLite syncs the journal once more, after it has cut it. Until then a loss of
                // power may leave the journal as it was, which undoes the transaction.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                // It does not touch the file; if it fails all the same, commits take longer.
                defer { try? database.execute(sql: "PRAGMA synchronous = NORMAL") }
                try database.inTransaction {
                    try body(database)
                    return .commit
                }
            }
        }
    }

    private static func wrapping<T>(_ body: () throws -> T) throws(CatalogError) -> T {
        do { return try body() } catch let error as CatalogError { throw error } catch {
            // Without the statement, which says nothing to a person.
            guard let error = error as? DatabaseError else { throw CatalogError("\(error)") }
            switch error.resultCode {
            case .SQLITE_FULL: throw CatalogError("the disk is full", .transient)
            case .SQLITE_BUSY, .SQLITE_LOCKED:
                throw CatalogError("another process is using it", .transient)
            default:
                throw CatalogError(
                    "SQLite: \(error.message ?? "error \(error.extendedResultCode.rawValue)")")
            }
        }
    }
}
