/// Current activity of a writer, published for other processes (Formats/store-layout.md, Status).
/// It is a hint for people; nothing depends on it.
package struct SaveStatus: Equatable, Sendable {
    package static let bytes = 256
    package static let magic: UInt64 = 0x5441_5453_5450_4B43  // "CKPTSTAT"

    package enum Phase: UInt64, Sendable {
        case idle = 0
        case capturing = 1
        case captured = 2
        case durable = 3
        case committed = 4
        case failed = 5
    }

    /// Time of the last update, in milliseconds since 1970.
    package var updated = 0
    package var process = 0
    package var run: RunID
    /// Id of the save that was submitted last.
    package var id = CheckpointID(rawValue: 0)
    package var step = 0
    package var phase = Phase.idle
    /// Start of that save, in milliseconds since 1970.
    package var started = 0
    /// Bytes of that save that have been written, and its total size; both before encoding.
    package var written = 0
    package var total = 0
    /// Time for which saves have blocked training so far, in microseconds.
    package var stall = 0
    package var committedCount = 0
    package var failedCount = 0
    /// The last five fields describe the save that was committed last: its step, the time from
    /// submit to commit and the time it blocked training (both in microseconds), its bytes before
    /// encoding, and the stored bytes that it wrote.
    package var lastStep = 0
    package var lastDuration = 0
    package var lastStall = 0
    package var lastBytes = 0
    package var lastNewBytes = 0
    /// Number of checkpoints that were sent to the mirror, and the step of the last one.
    package var mirroredCount = 0
    package var mirroredStep = 0
    /// Scope in which the writer's process id is valid: a hash of the machine's start and of the
    /// process namespace; 0 if unknown.
    package var machine: UInt128 = 0

    package init(run: RunID) { self.run = run }

    private static let hashOffset = bytes - 16

    /// Encodes the record without allocating.
    ///
    /// - Parameters:
    ///   - buffer: Overwritten; must have `bytes` bytes.
    ///   - digest: The hash function.
    package func encode(into buffer: inout [UInt8], digest: Digest) {
        precondition(buffer.count == Self.bytes)
        var at = 0
        func put(_ value: UInt64) {
            for shift in 0..<8 { buffer[at + shift] = UInt8(truncatingIfNeeded: value >> UInt64(8 * shift)) }
            at += 8
        }
        func put(_ value: Int) { put(UInt64(clamping: value)) }
        func put(_ id: UInt128) {
            for index in 0..<16 { buffer[at + index] = UInt8(truncatingIfNeeded: id >> UInt128(8 * (15 - index))) }
            at += 16
        }
        put(Self.magic)
        put(1)
        put(updated)
        put(process)
        put(run.rawValue)
        put(id.rawValue)
        put(step)
        put(phase.rawValue)
        put(started)
        put(written)
        put(total)
        put(stall)
        put(committedCount)
        put(failedCount)
        put(lastStep)
        put(lastDuration)
        put(lastStall)
        put(lastBytes)
        put(lastNewBytes)
        put(machine)
        put(mirroredCount)
        put(mirroredStep)
        while at < Self.hashOffset { put(0) }
        put(digest(buffer[..<Self.hashOffset]).rawValue)
    }

    /// Decodes a record; nil if it has another version, is damaged, or was read while it was being
    /// written.
    ///
    /// - Parameters:
    ///   - buffer: The bytes of the file.
    ///   - digest: The hash function.
    package init?(decoding buffer: [UInt8], digest: Digest) {
        guard buffer.count == Self.bytes else { return nil }
        var at = 0
        func number() -> UInt64 {
            defer { at += 8 }
            return (0..<8).reduce(0) { $0 | UInt64(buffer[at + $1]) << UInt64(8 * $1) }
        }
        func count() -> Int { Int(clamping: number()) }
        func identifier() -> UInt128 {
            defer { at += 16 }
            return buffer[at..<at + 16].reduce(0) { $0 << 8 | UInt128($1) }
        }
        guard number() == Self.magic, number() == 1 else { return nil }
        (updated, process) = (count(), count())
        run = RunID(rawValue: identifier())
        id = CheckpointID(rawValue: identifier())
        step = count()
        guard let phase = Phase(rawValue: number()) else { return nil }
        self.phase = phase
        (started, written, total, stall) = (count(), count(), count(), count())
        (committedCount, failedCount) = (count(), count())
        (lastStep, lastDuration, lastStall, lastBytes, lastNewBytes) = (count(), count(), count(), count(), count())
        machine = identifier()
        (mirroredCount, mirroredStep) = (count(), count())
        at = Self.hashOffset
        guard identifier() == digest(buffer[..<Self.hashOffset]).rawValue else { return nil }
    }

    /// True while a save is in flight.
    package var isSaving: Bool { [.capturing, .captured, .durable].contains(phase) }
}
