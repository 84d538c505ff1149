internal import Checkpointing
internal import Foundation

/// The directory of a benchmark's store.
struct BenchmarkStore {
    private let path: String

    init(_ settings: Settings) { path = settings.store }

    /// Checks that nothing would be lost when the store is removed.
    ///
    /// - Throws: code `misuse` if the directory is not empty; `io`.
    func requireNew() throws(CheckpointError) {
        let manager = FileManager.default
        guard manager.fileExists(atPath: path) else { return }
        let names = try translating(path) { try manager.contentsOfDirectory(atPath: path) }
        guard names.isEmpty else {
            throw CheckpointError(
                .misuse, "\(path) is not empty, and the benchmark deletes its store at the end",
                remedy: "Choose a new or empty directory", path: path)
        }
    }

    /// Removes the store. Errors are ignored: the user named the directory, and can remove the rest.
    func remove() { try? FileManager.default.removeItem(atPath: path) }
}
