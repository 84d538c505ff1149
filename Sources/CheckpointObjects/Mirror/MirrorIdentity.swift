internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import CheckpointStorage
internal import Foundation
internal import SystemPackage

/// Decides whether a place may be the mirror of a store.
struct MirrorIdentity {
    let source: CheckpointStore
    let target: any ObjectStore

    /// The object that says which store it is.
    static let key = "store.json"

    /// Checks that the mirror is empty, or of the same store.
    ///
    /// - Returns: true if it has an identity already.
    /// - Throws: codes `misuse` (another store is there), `damaged` (it cannot be known which store
    ///   is there), `io`, `readOnly`.
    func check() throws(CheckpointError) -> Bool {
        let place = target.description
        let remedy = "Run ckpt repair on the mirror: it rebuilds the file from the checkpoints"
        guard let found = try content() else {
            // Leavings of an interrupted beginning are no store.
            if try holdsNothing() { return false }
            throw CheckpointError(
                .damaged, "\(place) contains checkpoints, but no store.json", remedy: remedy)
        }
        let identity: StoreIdentity
        do throws(FormatError) {
            identity = try StoreIdentity(decoding: found[...], digest: Hashing.digest)
        } catch {
            throw CheckpointError(
                .damaged, "\(place)/store.json is damaged: \(error)", remedy: remedy)
        }
        guard identity.id == source.id else {
            throw CheckpointError(
                .misuse, "\(place) holds another store",
                remedy: "Give an empty place, or that of an earlier mirror of this store; "
                    + "ckpt copy adds checkpoints to another store")
        }
        return true
    }

    private func content() throws(CheckpointError) -> [UInt8]? {
        do throws(ObjectStoreError) {
            guard let size = try target.size(of: Self.key) else { return nil }
            return try target.bytes(of: Self.key, count: min(size, Limits.storeJSONBytesMax))
        } catch { throw CheckpointError(error, in: target.description) }
    }

    private func holdsNothing() throws(CheckpointError) -> Bool {
        do throws(ObjectStoreError) {
            return try target.list("manifests/", limit: 1).isEmpty
        } catch { throw CheckpointError(error, in: target.description) }
    }

    /// Checks that a mirror is not the store itself, nor a directory in it.
    ///
    /// - Throws: code `misuse`.
    static func requireApart(
        _ path: String, from store: CheckpointStore
    ) throws(CheckpointError) {
        guard !store.catalog.isCache else { return }
        let components = { (path: String) in
            URL(fileURLWithPath: path).standardizedFileURL.resolvingSymlinksInPath().pathComponents
        }
        let root = components(store.directories.root.string)
        guard components(path).starts(with: root) else { return }
        throw CheckpointError(
            .misuse, "\(path) is the store itself, or lies in it, and would be lost with it",
            remedy: "Give a place for the mirror on another disk")
    }
}
