internal import CheckpointIO
internal import CheckpointObjects
internal import CheckpointTestSupport
internal import Checkpointing
internal import Foundation
internal import Glibc
internal import Logging
internal import SystemPackage

/// One rank of a run, as a process of its own, for tests that kill it:
///
///     RankProgram STORE LAUNCH RANK WORLD STEPS MILLISECONDS EAGER [SIGNAL OPERATION]
///
/// STORE is a directory or `s3://BUCKET/PREFIX`; in a bucket the ranks share no files, and each has
/// a cache below `XDG_CACHE_HOME`. It resumes, saves STEPS steps, and waits for each save. It waits MILLISECONDS for the other ranks
/// in each phase of a commit. If EAGER is 1, it publishes as soon as all parts are there, whatever
/// its rank. Before its OPERATIONth change of the file system since it has begun to train, it sends
/// itself SIGNAL. A save that fails is tried a second time.
@main
struct RankProgram {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 8 || arguments.count == 10, let rank = Int(arguments[3]),
            let worldSize = Int(arguments[4]), let steps = Int(arguments[5]),
            let timeout = Int(arguments[6])
        else { exit(2) }
        var ranks = RankGroup(rank: rank, worldSize: worldSize, launch: arguments[2])
        ranks.timeout = .milliseconds(timeout)
        ranks.startTimeout = .seconds(60)
        if arguments[7] == "1" { ranks.patience = .zero }
        let fault =
            arguments.count == 10
            ? Fault(signal: Int32(arguments[8]) ?? SIGKILL, operation: Int(arguments[9]) ?? 0)
            : nil
        let count = Monitor<Int?>(nil, rank: .unchecked)
        let store = try open(arguments[1], ranks) { _ throws(FileSystemError) in
            let isNow = count.withLock { count in
                guard let number = count else { return false }
                count = number + 1
                return number == fault?.operation
            }
            if isNow, let fault { kill(getpid(), fault.signal) }
        }
        try train(store, RankedState(rank: rank, of: worldSize), launch: arguments[2], steps: steps)
        { count.withLock { $0 = 0 } }
        say("operations", count.withLock { $0 } ?? 0)
    }

    private typealias Hook = @Sendable (FileOperation) throws(FileSystemError) -> Void

    /// Opens the store, and calls `hook` before each change of its file system.
    private static func open(
        _ path: String, _ ranks: RankGroup, _ hook: @escaping Hook
    ) throws -> CheckpointStore {
        func open(
            _ files: some FileSystem, _ catalog: CatalogIndex.Place
        ) throws -> CheckpointStore {
            try CheckpointStore(
                fileSystem: HookedFileSystem(files, before: hook), root: FilePath(path),
                access: .writing, catalog: catalog, ranks: ranks)
        }
        guard S3Location.isMeant(by: path), let location = S3Location(path) else {
            return try open(POSIXFileSystem(), ranks.rank == 0 ? .store : .nowhere)
        }
        let caches = ProcessInfo.processInfo.environment["XDG_CACHE_HOME"] ?? "/tmp"
        let objects = try CheckpointStore.writableObjects(at: location)
        return try open(
            ObjectFileSystem(
                objects, root: FilePath(path), cache: FilePath("\(caches)/rank-\(ranks.rank)")),
            .nowhere)
    }

    private struct Fault {
        var signal: Int32
        var operation: Int
    }

    private static func train(
        _ store: CheckpointStore, _ state: RankedState, launch: String, steps: Int,
        begins: () -> Void
    ) throws {
        var options = CheckpointerOptions()
        options.run = "ranks"
        (options.compression, options.workers, options.chunkBytes) = (.none, 1, 4096)
        options.arenaBytes = 4 * options.chunkBytes
        options.keepLast = 3
        options.logger.logLevel = .critical
        let checkpointer = try Checkpointer(store: store, state: state, options: options)
        let report = try checkpointer.resume()
        if let report { say("resumed", report.step, state.isWhole ? state.stamp : "mixed") }
        begins()
        let first = (report?.step ?? 0) + 1
        for step in first..<first + steps {
            var isSaved = false
            for attempt in 0..<2 where !isSaved {
                checkpointer.mutate { state.change(to: "\(launch) \(step) \(attempt)") }
                isSaved = save(step, checkpointer)
            }
            guard isSaved else { exit(3) }
        }
        // A failure has been printed.
        try? checkpointer.close()
        try store.close()
    }

    /// Returns true if the step is committed, be it by another attempt.
    private static func save(_ step: Int, _ checkpointer: Checkpointer) -> Bool {
        do throws(CheckpointError) {
            let ticket = try checkpointer.save(step: step)
            try ticket.wait()
            say("committed", step, ticket.id)
            return true
        } catch {
            say("failed", step, error)
            return error.code == .exists
        }
    }

    /// Prints a line that is not lost if the process is killed.
    private static func say(_ words: Any...) {
        let line = words.map { "\($0)" }.joined(separator: " ") + "\n"
        FileHandle.standardOutput.write(Data(line.utf8))
    }
}
