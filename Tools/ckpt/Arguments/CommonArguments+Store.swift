internal import CheckpointInterchange
import ArgumentParser
internal import CheckpointObjects
import Checkpointing
import Foundation
import SystemPackage

extension CommonArguments {
    /// Opens the store to change marks or to remove checkpoints. A trainer holds the maintenance lock only for moments; waits for it.
    func openForMaintaining() throws -> CheckpointStore {
        let end = ContinuousClock.now + .seconds(5)
        while true {
            do { return try StoreAddress(store).open(for: .maintaining) } catch let error as CheckpointError {
                guard error.code == .busy, ContinuousClock.now < end else { throw error }
                usleep(50_000)
            }
        }
    }
}

extension CompletionKind {
    /// Completions for REF in a shell: `latest`, tags, and the newest steps of the store in the command line.
    static var references: CompletionKind {
        .custom { words, _, _ in
            guard let store = store(of: words) else { return ["latest"] }
            // An error cannot be reported while the user types.
            let steps = (try? store.newest(50).compactMap { try? $0.get() }.map { String($0.step) }) ?? []
            return ["latest"] + tags(of: store) + steps
        }
    }

    /// The tags of the store in the command line.
    static var tags: CompletionKind { .custom { words, _, _ in store(of: words).map(tags) ?? [] } }

    private static func store(of words: [String]) -> CheckpointStore? {
        let named = words.dropFirst(2).first { CommonArguments.looksLikeStore($0) }
        // A completion is empty if the store cannot be read: nothing can be reported here.
        return (named ?? CommonArguments.defaultStore).flatMap { try? StoreAddress($0).open(for: .reading) }
    }

    private static func tags(of store: CheckpointStore) -> [String] {
        (try? store.tags().map(\.tag.description)) ?? []  // an error cannot be reported while the user types
    }
}

extension CommonArguments {
    /// The store of a command line that names none: from the environment, or else from the
    /// person's configuration.
    static var defaultStore: String? {
        let value = ProcessInfo.processInfo.environment["CKPT_STORE"]
        return value?.isEmpty == false ? value : UserConfiguration.current.store
    }

    /// Refuses a first argument that cannot be STORE, so that `CKPT_STORE` is inserted before it.
    static func check(_ text: String) throws {
        guard let store = defaultStore, store != text, !looksLikeStore(text) else { return }
        throw ValidationError("\(text) is neither a directory nor a path; the default store is used.")
    }

    /// True if an argument is STORE although `CKPT_STORE` is set: a directory, or a path that is not a file.
    static func looksLikeStore(_ text: String) -> Bool {
        if S3Location.isMeant(by: text) { return true }
        // A path that cannot be examined is judged by its name.
        guard let kind = try? Surroundings.kind(of: FilePath(text)) else { return text.contains("/") }
        return kind == .directory
    }
}
