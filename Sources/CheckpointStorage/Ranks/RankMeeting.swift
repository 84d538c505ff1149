internal import CheckpointCodecs
internal import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import Foundation
internal import SystemPackage

/// Messages of the ranks to each other before they save and while they restore.
///
/// With a process group, they meet by it until the first save begins. During a save it may fail for
/// one rank, and the others do not know it yet: from then on they meet by files, as they do without
/// a group, in the directory of their launch (Formats/store-layout.md, Names).
///
/// All ranks make the same calls in the same order, on one thread.
package final class RankMeeting: Sendable {
    private struct State {
        /// Name of the launch; nil until the process group has told it.
        var launch: String?
        /// Number of calls in the store.
        var calls = 0
        var hasGroup: Bool
    }

    package let ranks: RankGroup
    /// Passes messages between the ranks.
    package let messages: RankMessages
    private let fileSystem: any FileSystem
    private let directories: StoreDirectories
    /// Tells this life of the process from any other one.
    private let life = CheckpointID.random()
    private let state: Monitor<State>

    /// Maximum size of what a rank tells, in bytes.
    package static let bytesMax = 4096

    /// Prepares to meet; does nothing yet.
    ///
    /// - Parameters:
    ///   - fileSystem: the file system.
    ///   - directories: paths of the store.
    ///   - ranks: the ranks, of which this is one.
    package init(
        _ fileSystem: any FileSystem, _ directories: StoreDirectories, _ ranks: RankGroup
    ) {
        (self.fileSystem, self.directories, self.ranks) = (fileSystem, directories, ranks)
        messages = RankMessages(ranks.group)
        state = Monitor(State(launch: ranks.launch, hasGroup: ranks.group != nil))
    }

    private var deadline: ContinuousClock.Instant { .now + ranks.startTimeout }

    /// The first save begins, on all ranks: from now on they meet in the store.
    package func beginSaving() { state.withLock { $0.hasGroup = false } }

    /// Tells all ranks what rank 0 decides.
    ///
    /// - Parameter bytes: returns what rank 0 decides; is called on rank 0 alone.
    /// - Returns: the bytes of rank 0.
    /// - Throws: codes `timedOut` (rank 0 is not there, or the process group has failed), `misuse`
    ///   (the launch is not new), and of ranks that meet in the store `io`, `noSpace`, `readOnly`;
    ///   on rank 0 what `bytes` throws.
    package func decide(
        _ bytes: () throws(CheckpointError) -> [UInt8]
    ) throws(CheckpointError) -> [UInt8] {
        let own = ranks.rank == 0 ? try bytes() : []
        precondition(own.count <= Self.bytesMax)
        if let answers = try gathered(own) { return answers[0] }
        let (launch, call) = try nextCall()
        if ranks.rank == 0 {
            try tell(own, call, launch)
            return own
        }
        return try find([0], call, launch)[0]
    }

    /// Tells rank 0 what each rank brings.
    ///
    /// - Parameter bytes: what this rank brings.
    /// - Returns: on rank 0, what the ranks bring, by rank; on the others nothing.
    /// - Throws: codes `timedOut` (the process group has failed; in the store, names the missing
    ///   ranks, on rank 0), `misuse` (the launch is not new), and of ranks that meet in the store
    ///   `io`, `noSpace`, `readOnly`.
    package func collect(_ bytes: [UInt8]) throws(CheckpointError) -> [[UInt8]] {
        let own = Array(bytes.prefix(Self.bytesMax))
        if let answers = try gathered(own) { return ranks.rank == 0 ? answers : [] }
        let (launch, call) = try nextCall()
        guard ranks.rank == 0 else {
            try tell(own, call, launch)
            return []
        }
        return try [own] + find(Array(1..<ranks.worldSize), call, launch)
    }

    // MARK: By the process group

    /// Returns what all ranks bring, by rank; nil if they meet in the store.
    private func gathered(_ own: [UInt8]) throws(CheckpointError) -> [[UInt8]]? {
        guard state.withLock({ $0.hasGroup }) else { return nil }
        _ = try launch()
        guard let answers = messages.allGather(own, deadline) else { throw timedOut([]) }
        return answers
    }

    /// Returns the name of the launch. If there is a process group, it tells all ranks a new one.
    private func launch() throws(CheckpointError) -> String {
        if let known = state.withLock({ $0.launch }) { return known }
        guard let agreed = messages.agreeOnName(deadline) else { throw timedOut([]) }
        state.withLock { $0.launch = agreed }
        return agreed
    }

    // MARK: In the store

    private func nextCall() throws(CheckpointError) -> (launch: FilePath, number: Int) {
        let name = LaunchName(Hashing.digest(Array(try launch().utf8)[...]))
        let number = state.withLock { state in
            defer { state.calls += 1 }
            return state.calls
        }
        return (directories.parts.appending(name.description), number)
    }

    /// Makes a message durable under its name.
    private func tell(
        _ bytes: [UInt8], _ call: Int, _ launch: FilePath
    ) throws(CheckpointError) {
        let message = LaunchMessage(
            milliseconds: Clock.milliseconds, life: life, content: bytes)
        let staged = launch.appending("\(CheckpointID.random()).tmp")
        let final = launch.appending(LaunchMessage.name(call: call, rank: ranks.rank))
        let isNew = try translating("meeting other ranks") {
            try fileSystem.makeDirectory(directories.parts)
            try fileSystem.makeDirectory(launch)
            try fileSystem.createDurably(staged, message.encoded())
            // If it cannot be removed, it goes with the directory.
            defer { try? fileSystem.remove(staged) }
            do throws(FileSystemError) { try fileSystem.link(staged, to: final) } catch {
                // A link that was made, and whose answer was lost.
                let found = try? fileSystem.contents(of: final, atMost: LaunchMessage.bytesMax)
                guard let found else { throw error }
                return LaunchMessage(decoding: found)?.life == life
            }
            try fileSystem.syncDirectory(launch)
            return true
        }
        guard isNew else {
            throw CheckpointError(
                .misuse,
                "another process has already been rank \(ranks.rank) "
                    + "of launch \(state.withLock { $0.launch } ?? "")",
                remedy: "Start all processes together, and give each start another launch name,"
                    + " such as the job's id and the number of its restart", path: final.string)
        }
    }

    /// Waits for messages of other ranks.
    private func find(
        _ senders: [Int], _ call: Int, _ launch: FilePath
    ) throws(CheckpointError) -> [[UInt8]] {
        let deadline = deadline
        var found: [Int: [UInt8]] = [:]
        var wait = 0.001
        while true {
            try translating("meeting other ranks") {
                // By listing: a name that was looked for too early may stay missing.
                let names = Set(try fileSystem.listIfThere(launch))
                for rank in senders where found[rank] == nil {
                    let name = LaunchMessage.name(call: call, rank: rank)
                    guard names.contains(name) else { continue }
                    let path = launch.appending(name)
                    let bytes = try fileSystem.contents(of: path, atMost: LaunchMessage.bytesMax)
                    found[rank] = bytes.flatMap { LaunchMessage(decoding: $0)?.content }
                }
            }
            let missing = senders.filter { found[$0] == nil }
            guard !missing.isEmpty else { return senders.compactMap { found[$0] } }
            guard ContinuousClock.now < deadline else { throw timedOut(missing) }
            Thread.sleep(forTimeInterval: wait)
            // Of many ranks, all together list about a thousand times a second at most.
            wait = min(wait * 2, max(0.25, Double(ranks.rank == 0 ? 0 : ranks.worldSize) / 1000))
        }
    }

    private func timedOut(_ missing: [Int]) -> CheckpointError {
        let names = RankGroup.text(of: missing)
        return CheckpointError(
            .timedOut,
            missing.isEmpty
                ? "the process group did not answer rank \(ranks.rank) within \(ranks.startTimeout)"
                : "rank \(ranks.rank) has waited \(ranks.startTimeout) "
                    + "for \(missing.count == 1 ? "rank" : "ranks") \(names)",
            remedy: ranks.launch == nil
                ? "Read the logs of the other processes, and start all of them again"
                : "Give all processes the same launch name, "
                    + "and check that the missing ones are running")
    }
}
