package import CheckpointIO
package import CheckpointStorage
internal import CheckpointTestSupport
package import Checkpointing
internal import Logging
internal import SystemPackage

/// Small and deterministic: one worker, chunks of a page. Everything is stored anew, however alike the tests' tensors are.
package func smallOptions(workers: Int = 1) -> CheckpointerOptions {
    var options = CheckpointerOptions()
    options.deduplicates = false
    options.compression = .none
    options.chunkBytes = 4096
    options.arenaBytes = 4 * 4096
    options.workers = workers
    options.workerNiceness = 0
    options.logger.logLevel = .critical
    return options
}

package func openStore(
    _ fileSystem: any FileSystem, for access: CheckpointStore.Access = .writing
) throws(CheckpointError) -> CheckpointStore {
    try CheckpointStore(fileSystem: fileSystem, root: "/store", access: access, catalog: .nowhere)
}

/// Opens a store for maintaining as soon as its writer lets go: it removes old checkpoints after it has told of the commit.
package func openForMaintaining(_ fileSystem: any FileSystem) throws(CheckpointError) -> CheckpointStore {
    try retrying(while: { $0.code == .busy }) { () throws(CheckpointError) in
        try openStore(fileSystem, for: .maintaining)
    }
}

/// Steps of the checkpoints in a store, newest first; a damaged one is nil.
package func steps(of store: CheckpointStore) throws -> [Int?] { try store.checkpoints().map { try? $0.get().step } }
