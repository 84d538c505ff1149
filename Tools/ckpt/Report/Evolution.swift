internal import CheckpointMaintenance
import Checkpointing

/// The change of the parameters of a model from checkpoint to checkpoint.
struct Evolution {
    struct Layer {
        var name: String
        var tensors: [String]
        /// At each checkpoint; nil where a tensor is missing.
        var norms: [Double?] = []
        /// L2 norm of the change since the previous checkpoint; nil at the first.
        var updates: [Double?] = []

        /// The change divided by the norm in the previous checkpoint.
        var relativeUpdates: [Double?] {
            norms.indices.map { index in
                guard index > 0, let update = updates[index], let norm = norms[index - 1], norm > 0 else { return nil }
                return update / norm
            }
        }
    }

    struct Histogram {
        var tensor: String
        var range: ClosedRange<Double>
        var series: [(checkpoint: Int, counts: [Int])]
    }

    /// Those looked at, the oldest first.
    var checkpoints: [(id: CheckpointID, run: RunID, step: Int)] = []
    var layers: [Layer] = []
    var histograms: [Histogram] = []
    var readBytes = 0
}

/// Computes an evolution, two manifests at a time. A tensor in which every element changed is read once, for the comparison with the
/// previous checkpoint; an unchanged tensor is not read; any other is read twice.
struct EvolutionBuilder {
    static let layersMax = 40
    static let bins = 48

    let store: CheckpointStore
    /// Called before each checkpoint.
    let progress: (Int, Int) -> Void
    private var evolution = Evolution()
    private var groups: [(layer: String, members: [Int])] = []
    private var names: [String] = []
    private var squares: [Double?] = []
    private(set) var skipped: [CheckpointError] = []

    init(store: CheckpointStore, progress: @escaping (Int, Int) -> Void) {
        self.store = store
        self.progress = progress
    }

    /// - Parameter chosen: names of the tensors whose histograms are wanted; by default some of the largest.
    mutating func build(_ checkpoints: [ManifestName], histograms chosen: [NamePattern]) throws -> Evolution {
        var last: Manifest?
        for (index, name) in checkpoints.enumerated() {
            progress(index, checkpoints.count)
            do throws(CheckpointError) {
                let manifest = try store.files.load(name).manifest
                try add(manifest, after: last)
                last = manifest
            } catch {
                guard error.code == .damaged || error.code == .notFound || error.code == .unsupported else { throw error }
                skipped.append(error)
            }
        }
        if let last { try addHistograms(of: last, chosen) }
        return evolution
    }

    // MARK: Layers

    private mutating func add(_ manifest: Manifest, after last: Manifest?) throws(CheckpointError) {
        if last == nil { begin(manifest) }
        let (squares, changes) = try measure(manifest, after: last)
        self.squares = squares
        evolution.checkpoints.append((manifest.id, manifest.run, manifest.step))
        for (index, group) in groups.enumerated() {
            evolution.layers[index].norms.append(Self.norm(group.members.map { squares[$0] }))
            evolution.layers[index].updates.append(last == nil ? nil : Self.norm(group.members.map { changes[$0] }))
        }
    }

    private mutating func begin(_ manifest: Manifest) {
        names = Self.parameters(manifest).map(\.name)
        groups = Layers.group(names, limit: Self.layersMax)
        evolution.layers = groups.map { group in Evolution.Layer(name: group.layer, tensors: group.members.map { names[$0] }) }
    }

    /// In a checkpoint without roles, all tensors count as parameters.
    static func parameters(_ manifest: Manifest) -> [TensorRecord] {
        let parameters = manifest.tensors.filter { $0.role == .parameter }
        return parameters.isEmpty ? manifest.tensors : parameters
    }

    private static func norm(_ squares: [Double?]) -> Double? {
        squares.contains { $0 == nil } ? nil : squares.reduce(0) { $0 + ($1 ?? 0) }.squareRoot()
    }

    /// Sums of the squares of each tensor, and of its change; nil for a tensor that is missing or has another form.
    private mutating func measure(
        _ manifest: Manifest, after last: Manifest?
    ) throws(CheckpointError) -> (squares: [Double?], changes: [Double?]) {
        let records = Dictionary(
            manifest.tensors.map { (ByteName($0.name), $0) },
            uniquingKeysWith: { first, _ in first })
        let wanted = Set(names.map { ByteName($0) })
        var differences: [ByteName: CheckpointComparison.Tensor] = [:]
        if let last {
            let result = try store.compareTensors(last, with: manifest) { wanted.contains(ByteName($0)) }
            evolution.readBytes += result.readBytes
            for tensor in result.tensors { differences[ByteName(tensor.name)] = tensor }
        }
        let stream = TensorStream(store: store, manifest: manifest)
        defer { evolution.readBytes += stream.readBytes }
        var (squares, changes): ([Double?], [Double?]) = ([], [])
        for (index, name) in names.enumerated() {
            let difference = differences[ByteName(name)]
            changes.append(Self.change(difference))
            guard let record = records[ByteName(name)] else {
                squares.append(nil)
                continue
            }
            let known = known(difference, before: last == nil ? nil : self.squares[index])
            squares.append(known == nil ? try stream.statistics(of: record).squares : known)
        }
        return (squares, changes)
    }

    private static func change(_ tensor: CheckpointComparison.Tensor?) -> Double? {
        switch tensor?.change {
        case .equal: 0
        case .content: tensor?.difference?.squares
        default: nil
        }
    }

    /// The sum of squares, if the comparison has seen every element or none had to be seen.
    private func known(_ tensor: CheckpointComparison.Tensor?, before: Double?) -> Double? {
        guard let tensor else { return nil }
        if tensor.change == .equal { return before }
        guard let difference = tensor.difference, difference.nonFinite == 0, difference.compared == tensor.elementCount else { return nil }
        return difference.squaresAfter
    }

    // MARK: Histograms

    /// At the first, the middle and the last checkpoint looked at.
    private mutating func addHistograms(of manifest: Manifest, _ chosen: [NamePattern]) throws {
        let places = Ancestry.evenly(Array(evolution.checkpoints.indices), 3)
        let loaded = try places.map { place in try store.load(.id(prefix: evolution.checkpoints[place].id.description)).manifest }
        for name in Self.chosen(manifest, chosen) {
            progress(places.count, places.count)
            let found = zip(places, loaded).compactMap { place, manifest in
                manifest.tensors.first { $0.name.isSameName(as: name) }.map { (place, manifest, $0) }
            }
            if let histogram = try histogram(name, found) { evolution.histograms.append(histogram) }
        }
    }

    /// At most twelve of the requested tensors; by default the largest parameter of each of four layers.
    private static func chosen(_ manifest: Manifest, _ patterns: [NamePattern]) -> [String] {
        if !patterns.isEmpty {
            return manifest.tensors.map(\.name).filter { name in patterns.contains { $0.matches(name) } }.prefix(12).map { $0 }
        }
        let parameters = parameters(manifest)
        let largest = Layers.group(parameters.map(\.name), limit: layersMax).compactMap { group in
            group.members.max { parameters[$0].bytes < parameters[$1].bytes }
        }
        return largest.sorted { (parameters[$0].bytes, $1) > (parameters[$1].bytes, $0) }.prefix(4).sorted().map { parameters[$0].name }
    }

    private mutating func histogram(
        _ name: String, _ found: [(place: Int, manifest: Manifest, record: TensorRecord)]
    ) throws -> Evolution.Histogram? {
        let streams = found.map { TensorStream(store: store, manifest: $0.manifest) }
        defer { evolution.readBytes += streams.reduce(0) { $0 + $1.readBytes } }
        let ranges = try zip(found, streams).compactMap { try $1.statistics(of: $0.record).range }
        guard let low = ranges.map(\.lowerBound).min(), let high = ranges.map(\.upperBound).max() else { return nil }
        let series = try zip(found, streams).map { entry, stream in
            (checkpoint: entry.place, counts: try stream.histogram(of: entry.record, in: low...high, bins: Self.bins).counts)
        }
        return Evolution.Histogram(tensor: name, range: low...high, series: series)
    }
}
