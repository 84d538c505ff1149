internal import CheckpointIO
internal import CheckpointStorage
internal import Foundation

/// The checkpointers of this process that have not been closed: at the end of the process their
/// saves in flight are finished, or reported as lost.
///
/// Any thread; its lock is held for no other work. The end runs on the thread that calls exit(3),
/// or on that of the signal.
final class OpenCheckpointers: Sendable {
    static let shared = OpenCheckpointers()

    /// One checkpointer. Its threads keep the pipeline alive while saves are in flight, also if the
    /// checkpointer itself has been dropped.
    struct Entry {
        weak let pipeline: SavePipeline?
        weak let crew: ThreadCrew?
        weak let mirror: (any MirrorFollowing)?
        let store: String
        /// Time that the end of the process may be delayed.
        let exitDeadline: Duration
        let onTermination: TerminationPolicy
        /// A child made by fork(2) has none of the threads.
        let process = ProcessInfo.processInfo.processIdentifier
    }

    private struct Entries {
        var all: [ObjectIdentifier: Entry] = [:]
        var isInstalled = false
        /// A loop that was to be asked to end has closed its checkpointer after the signal.
        var hasStoppedAtSignal = false
    }

    private let entries = Monitor(Entries())

    /// Adds a checkpointer; the first one has them finished at the end of the process.
    ///
    /// - Throws: `ThreadError` if SIGTERM is to be handled and its thread cannot be started.
    func add(_ entry: Entry) throws(ThreadError) {
        if entry.onTermination != .ignore {
            try TerminationSignal.install { OpenCheckpointers.shared.terminate() }
        }
        let (isFirst, living) = entries.withLock { entries in
            // Released after the lock: another thread may let go of one now, and the end of a
            // pipeline takes locks.
            let living = entries.all.values.map(\.pipeline) + [entry.pipeline]
            let known = Set(living.compactMap { $0.map { ObjectIdentifier($0) } })
            entries.all = entries.all.filter { known.contains($0.key) }
            if let pipeline = entry.pipeline { entries.all[ObjectIdentifier(pipeline)] = entry }
            defer { entries.isInstalled = true }
            return (!entries.isInstalled, living)
        }
        withExtendedLifetime(living) {}
        if isFirst { ProcessExit.add { OpenCheckpointers.shared.drain { $0.exitDeadline } } }
    }

    /// Removes a checkpointer whose saves have ended.
    func remove(_ pipeline: SavePipeline) {
        entries.withLock { entries in
            let entry = entries.all.removeValue(forKey: ObjectIdentifier(pipeline))
            if entry?.onTermination.stoppingTime != nil, TerminationSignal.isReceived {
                entries.hasStoppedAtSignal = true
            }
        }
    }

    /// Checkpointers that have not been dropped. A child made by fork(2) has none.
    private var ofThisProcess: [Entry] {
        let process = ProcessInfo.processInfo.processIdentifier
        return entries.withLock { Array($0.all.values) }
            .filter { $0.process == process && $0.pipeline != nil }
    }

    /// Does what the checkpointers have to do after SIGTERM.
    ///
    /// - Returns: true if the signal then has to act: it was to act, or a loop that was asked to
    ///   end has not done so in time.
    private func terminate() -> Bool {
        let started = ContinuousClock.now
        let isPublishing = ofThisProcess.contains { $0.onTermination.publishingTime != nil }
        let stopping = ofThisProcess.filter { $0.onTermination.stoppingTime != nil }
        for entry in stopping { entry.crew?.setUrgent(true) }
        drain { $0.onTermination.publishingTime }
        let longest = stopping.compactMap(\.onTermination.stoppingTime).max() ?? .zero
        while hasLoopsToStop, ContinuousClock.now < started + longest {
            Thread.sleep(forTimeInterval: 0.02)
        }
        // A loop may have seen the signal, and ended, before this thread did.
        let hasStopped = !stopping.isEmpty || entries.withLock(\.hasStoppedAtSignal)
        guard hasStopped, !hasLoopsToStop else {
            // Out of time: the saves that are in flight are reported.
            drain { $0.onTermination.stoppingTime.map { _ in .zero } }
            return true
        }
        return isPublishing
    }

    private var hasLoopsToStop: Bool {
        ofThisProcess.contains { $0.onTermination.stoppingTime != nil }
    }

    /// Finishes the saves in flight, and reports on standard error those that cannot be.
    ///
    /// - Parameter deadline: returns the time to wait for a checkpointer; nil leaves it out.
    func drain(within deadline: (Entry) -> Duration?) {
        let started = ContinuousClock.now
        for entry in ofThisProcess {
            guard let pipeline = entry.pipeline, let deadline = deadline(entry) else { continue }
            entry.crew?.setUrgent(true)
            let rest = max(deadline - (.now - started), .zero)
            let lost = pipeline.stepsInFlight(after: rest)
            if lost.isEmpty {
                let rest = max(deadline - (.now - started), .zero)
                // What is not sent is sent by the next process that uses this directory.
                try? entry.mirror?.waitUntilCurrent(within: rest)
                continue
            }
            let steps = lost.map(String.init).joined(separator: ", ")
            let (saves, are) = lost.count == 1 ? ("save of step", "is") : ("saves of steps", "are")
            let text =
                "ckpt: the \(saves) \(steps) to \(entry.store) \(are) lost: the process ended "
                + "before the commit. Call close() on the checkpointer before the program ends\n"
            FileHandle.standardError.write(Data(text.utf8))
        }
    }
}

extension TerminationPolicy {
    /// The time for the saves in flight, after which the signal acts; nil if it is not to wait.
    fileprivate var publishingTime: Duration? {
        if case .publishNewest(let within) = self { within } else { nil }
    }

    /// The time in which a loop has to end; nil if it is not asked to.
    fileprivate var stoppingTime: Duration? {
        if case .stopTraining(let within) = self { within } else { nil }
    }
}
