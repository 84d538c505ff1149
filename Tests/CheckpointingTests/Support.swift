import CheckpointFormat
import Checkpointing
import CheckpointIO
import CheckpointTestSupport
internal import Logging
import SystemPackage

/// Small and deterministic: one worker, chunks of a page. Everything is stored anew, however alike the tests' tensors are.
func smallOptions(workers: Int = 1) -> CheckpointerOptions {
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

func openStore(
    _ fileSystem: any FileSystem, for access: CheckpointStore.Access = .writing
) throws(CheckpointError) -> CheckpointStore {
    try CheckpointStore(fileSystem: fileSystem, root: "/store", access: access, usesCatalog: false)
}

/// Steps of the checkpoints in a store, newest first; a damaged one is nil.
func steps(of store: CheckpointStore) throws -> [Int?] { try store.checkpoints().map { try? $0.get().step } }
