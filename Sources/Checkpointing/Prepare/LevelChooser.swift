internal import CheckpointCodecs
internal import CheckpointStorage

/// Chooses the level of a save for `.auto`: the strongest that takes at most half of the time
/// between saves, or else the fastest. A plain value, fed with the times of earlier saves; seconds
/// and bytes.
struct LevelChooser {
    struct Choice: Equatable {
        var level: Compression
        /// The measurements behind the choice, for the report.
        var reason: String
    }

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

    private let workers: Int
    private var measured: [Compression: Speed] = [:]
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
    }

    /// A save has been committed. Saves that wrote or encoded too little to be measured are
    /// ignored.
    mutating func observe(_ seen: EncodingObservation) {
        if seen.writtenBytes > 1 << 20, seen.writeSeconds > 0 {
            let speed = Double(seen.writtenBytes) / seen.writeSeconds
            sinkBytesPerSecond = sinkBytesPerSecond.map { ($0 + speed) / 2 } ?? speed
        }
        guard seen.rawBytes > 1 << 20, seen.encodeSeconds > 0, let assumed = Self.assumed[seen.level], seen.level != .none else { return }
        let speed = Speed(
            ratio: Double(seen.rawBytes) / Double(max(seen.storedBytes, 1)), bytesPerSecond: Double(seen.rawBytes) / seen.encodeSeconds)
        measured[seen.level] = speed
        slowness = assumed.bytesPerSecond / speed.bytesPerSecond
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
    func choose(bytes: Int) -> Choice {
        guard let sink = sinkBytesPerSecond else { return Choice(level: .fast, reason: "first save: no measurements yet") }
        let times = Self.levels.map { (level: $0, seconds: seconds($0, Double(bytes), sink)) }
        let measured = "\(Self.text(Double(bytes) / 1e9)) GB, storage \(Self.text(sink / 1e9)) GB/s"
        if let window, let fitting = times.first(where: { $0.seconds <= window * Self.share }) {
            let why = "\(Self.text(fitting.seconds)) s expected, \(Self.text(window)) s between saves"
            return Choice(level: fitting.level, reason: "\(measured): \(why)")
        }
        guard let quickest = times.min(by: { $0.seconds < $1.seconds }) else { preconditionFailure("there are levels") }
        return Choice(level: quickest.level, reason: "\(measured): \(Self.text(quickest.seconds)) s expected, the fastest")
    }

    /// Two decimals, without Foundation's formats.
    private static func text(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
