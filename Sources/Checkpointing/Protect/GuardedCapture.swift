internal import CheckpointGuard
internal import CheckpointStorage

/// Guarded mode: the state's pages are protected from `save` until their blocks are captured, and
/// an earlier write is delayed until then. The trainer calls no fence.
///
/// The trainer's thread. The pipeline's saves own `pages`, which know nothing of the pipeline; this
/// object owns both.
final class GuardedCapture: StateProtection {
    private let pages: ProtectedPages
    private let writes: WriteGuard

    /// Starts the guard.
    ///
    /// - Parameters:
    ///   - pipeline: captures the blocks.
    ///   - beforeRelease: test hook, called before pages are released.
    ///   - held: called on the guard's thread after each held write, with the time for which it was
    ///     held, and the part of that spent waiting for the disk.
    /// - Throws: `GuardError`, if the kernel or the process's privileges do not allow it.
    init(
        _ pipeline: SavePipeline, beforeRelease: (@Sendable () -> Void)? = nil,
        held: @escaping @Sendable (_ time: Duration, _ backpressure: Duration) -> Void
    ) throws {
        let memory = try Userfault.holdingWrites()
        let pages = ProtectedPages(memory, beforeRelease: beforeRelease)
        let track = pipeline.configuration.trainer.recorder?.track(named: "ckpt-guard") ?? .none
        self.pages = pages
        writes = try WriteGuard(memory) { address in
            let (began, span) = (ContinuousClock.now, track.begin())
            defer { track.end("hold", since: span) }
            var backpressure = Duration.zero
            if let (blocks, flight) = pages.blocks(onPageOf: address) {
                for block in blocks {
                    backpressure += pipeline.captureNow(BlockIndex(block), of: flight, track: track)
                }
            }
            pages.releaseIfOut(address)
            held(.now - began, backpressure)
        }
    }

    var guarding: (any PageGuarding)? { pages }

    func begin(_ task: SaveTask) throws -> [String] {
        try pages.begin(task)
        return []
    }

    func begun(flight: FlightID) { pages.begun(flight: flight) }

    /// Releases all pages, and ends the protection. No save may be in flight.
    func close() { writes.close() }
}
