internal import CheckpointCodecs
internal import CheckpointStorage

/// Chooses the level of a save for `.auto`: the strongest that takes at most half of the time
/// between saves, or else the fastest; but none that saves too little, or has blocked training. A
/// plain value, fed with the times of earlier saves; seconds and bytes.
struct LevelChooser {
    private struct Speed {
        var ratio: Double
        /// Of one thread.
        var bytesPerSecond: Double
    }

    /// From the strongest to the fastest.
    private static let levels: [Compression] = [.balanced, .fast, .none]
    /// Assumed speed of a level that has not been used yet, on an idle processor.
    private static let assumed: [Compression: Speed] = [
        .balanced: Speed(ratio: 1.22, bytesPerSecond: 2.2e9), .fast: Speed(ratio: 1.18, bytesPerSecond: 6e9),
        .none: Speed(ratio: 1, bytesPerSecond: .infinity),
    ]
    /// Maximum fraction of the time between saves that a save may take.
    static let share = 0.5
    /// Maximum time for which a save may block training because it encodes.
    static let blockedSecondsMax = 0.05
    /// Number of saves after which a level that was rejected is tried again: the state changes.
    static let rejectedSaves = 100

    /// Why a level is not chosen, and for how many saves.
    private struct Rejection {
        var reason: String
        var savesLeft = LevelChooser.rejectedSaves
    }

    private let workers: Int
    private var measured: [Compression: Speed] = [:]
    private var rejections: [Compression: Rejection] = [:]
    /// Measured encoding time divided by the assumed time: the trainer uses the processor too.
    private var slowness = 1.0
    private var sinkBytesPerSecond: Double?
    private var lastCall: Double?
    /// Between the last two saves.
    private(set) var window: Double?

    init(workers: Int) { self.workers = workers }

    /// A save is requested at time `now`.
    mutating func called(at now: Double) {
        if let lastCall { window = now - lastCall }
        lastCall = now
        for level in Self.levels { rejections[level]?.savesLeft -= 1 }
        rejections = rejections.filter { $0.value.savesLeft > 0 }
    }

    /// A save has been committed. Saves that wrote or encoded too little to be measured are
    /// ignored.
    ///
    /// - Parameters:
    ///   - seen: what was encoded and written.
    ///   - blocked: time for which training waited for the save.
    mutating func observe(_ seen: EncodingObservation, blocked: Double = 0) {
        if seen.writtenBytes > 1 << 20, seen.writeSeconds > 0 {
            let speed = Double(seen.writtenBytes) / seen.writeSeconds
            sinkBytesPerSecond = sinkBytesPerSecond.map { ($0 + speed) / 2 } ?? speed
        }
        guard seen.rawBytes > 1 << 20, seen.encodeSeconds > 0, let assumed = Self.assumed[seen.level], seen.level != .none else { return }
        let speed = Speed(
            ratio: Double(seen.rawBytes) / Double(max(seen.storedBytes, 1)), bytesPerSecond: Double(seen.rawBytes) / seen.encodeSeconds)
        measured[seen.level] = speed
        slowness = assumed.bytesPerSecond / speed.bytesPerSecond
        reject(seen, speed, blocked)
    }

    /// Rejects the level of a save, and all stronger ones, if it is not worth its time.
    private mutating func reject(_ seen: EncodingObservation, _ speed: Speed, _ blocked: Double) {
        let encoding = seen.encodeSeconds / Double(workers)
        let reason: String
        if speed.ratio < EncodingObservation.ratioMin {
            // Stronger levels find little more.
            reason = "compression makes it only \(Self.text(speed.ratio)) times smaller"
        } else if blocked > Self.blockedSecondsMax, encoding > seen.writeSeconds {
            reason = "\(seen.level) has blocked training for \(Self.text(blocked)) s"
        } else {
            return
        }
        let isUseless = speed.ratio < EncodingObservation.ratioMin
        for level in Self.levels.prefix(while: { isUseless || $0 != seen.level }) + [seen.level]
        where level != .none { rejections[level] = Rejection(reason: reason) }
    }

    private func speed(of level: Compression) -> Speed {
        if let known = measured[level] { return known }
        var speed = Self.assumed[level] ?? Speed(ratio: 1, bytesPerSecond: .infinity)
        speed.bytesPerSecond /= max(slowness, 1)
        return speed
    }

    /// Expected duration of a save of `bytes`: encoding and writing run in parallel.
    private func seconds(_ level: Compression, _ bytes: Double, _ sink: Double) -> Double {
        let speed = speed(of: level)
        return max(bytes / speed.bytesPerSecond / Double(workers), bytes / speed.ratio / sink)
    }

    /// - Parameter bytes: expected to be encoded.
    func choose(bytes: Int) -> LevelChoice {
        guard let sink = sinkBytesPerSecond else {
            let reason = "first save: no measurements yet"
            return LevelChoice(level: .fast, reason: reason, isTrial: true)
        }
        let times = Self.levels.filter { rejections[$0] == nil }.map {
            (level: $0, seconds: seconds($0, Double(bytes), sink))
        }
        var measured = "\(Self.text(Double(bytes) / 1e9)) GB, storage \(Self.text(sink / 1e9)) GB/s"
        // That of the weakest level tells most.
        if let rejection = Self.levels.reversed().compactMap({ rejections[$0] }).first {
            measured += ", " + rejection.reason
        }
        if let window, let fitting = times.first(where: { $0.seconds <= window * Self.share }) {
            let why = "\(Self.text(fitting.seconds)) s expected, \(Self.text(window)) s between saves"
            return LevelChoice(level: fitting.level, reason: "\(measured): \(why)")
        }
        guard let quickest = times.min(by: { $0.seconds < $1.seconds }) else { preconditionFailure("there are levels") }
        return LevelChoice(level: quickest.level, reason: "\(measured): \(Self.text(quickest.seconds)) s expected, the fastest")
    }

    /// Two decimals, without Foundation's formats.
    private static func text(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
