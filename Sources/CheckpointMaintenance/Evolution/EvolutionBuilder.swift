internal import CheckpointFormat
internal import CheckpointState
internal import CheckpointStorage

/// Computes an evolution, two manifests at a time.
///
/// A tensor in which every element changed is read once, for the comparison with the previous
/// checkpoint; an unchanged tensor is not read; any other is read twice.
struct EvolutionBuilder {
    private static let layersMax = 40
    private static let histogramsMax = 12
    private static let bins = 48

    private let store: CheckpointStore
    private let progress: (Int, Int) -> Void
    private var evolution = ModelEvolution()
    private var groups: [LayerGroups.Group] = []
    private var names: [String] = []
    private var squares: [Double?] = []
    /// Manifests of the checkpoints that were read.
    private var read: [ManifestName] = []

    /// Creates a builder; reads nothing.
    ///
    /// - Parameters:
    ///   - store: the store.
    ///   - progress: called before each checkpoint.
    init(store: CheckpointStore, progress: @escaping (Int, Int) -> Void) {
        self.store = store
        self.progress = progress
    }

    /// Reads checkpoints.
    ///
    /// - Parameters:
    ///   - checkpoints: the checkpoints, the oldest first.
    ///   - chosen: names of the tensors whose histograms are wanted; by default some large ones.
    mutating func build(
        _ checkpoints: [ManifestName], histograms chosen: [NamePattern]
    ) throws(CheckpointError) -> ModelEvolution {
        var last: Manifest?
        for (index, name) in checkpoints.enumerated() {
            progress(index, checkpoints.count)
            do throws(CheckpointError) {
                let manifest = try store.files.load(name).manifest
                try add(manifest, after: last)
                read.append(name)
                last = manifest
            } catch {
                let codes: [CheckpointError.Code] = [.damaged, .notFound, .unsupported]
                guard codes.contains(error.code) else { throw error }
                evolution.damaged.append(error)
            }
        }
        if let last { try addHistograms(of: last, chosen) }
        return evolution
    }

    // MARK: Layers

    private mutating func add(
        _ manifest: Manifest, after last: Manifest?
    ) throws(CheckpointError) {
        if last == nil { begin(manifest) }
        let (squares, changes) = try measure(manifest, after: last)
        self.squares = squares
        evolution.checkpoints.append(
            .init(id: manifest.id, run: manifest.run, step: manifest.step))
        for (index, group) in groups.enumerated() {
            let norm = Self.norm(group.members.map { squares[$0] })
            let update = last == nil ? nil : Self.norm(group.members.map { changes[$0] })
            evolution.layers[index].norms.append(norm)
            evolution.layers[index].updates.append(update)
        }
    }

    private mutating func begin(_ manifest: Manifest) {
        names = Self.parameters(manifest).map(\.name)
        groups = LayerGroups.group(names, limit: Self.layersMax)
        evolution.layers = groups.map { group in
            ModelEvolution.Layer(name: group.layer, tensors: group.members.map { names[$0] })
        }
    }

    /// Returns the parameters. In a checkpoint without roles, all tensors count.
    private static func parameters(_ manifest: Manifest) -> [TensorRecord] {
        let parameters = manifest.tensors.filter { $0.role == .parameter }
        return parameters.isEmpty ? manifest.tensors : parameters
    }

    private static func norm(_ squares: [Double?]) -> Double? {
        squares.contains { $0 == nil }
            ? nil : squares.reduce(0) { $0 + ($1 ?? 0) }.squareRoot()
    }

    /// Returns the sums of the squares of each tensor, and of its change; nil for a tensor that is
    /// missing or has another form.
    private mutating func measure(
        _ manifest: Manifest, after last: Manifest?
    ) throws(CheckpointError) -> (squares: [Double?], changes: [Double?]) {
        let records = Dictionary(
            manifest.tensors.map { (ByteName($0.name), $0) },
            uniquingKeysWith: { first, _ in first })
        let wanted = Set(names.map { ByteName($0) })
        var differences: [ByteName: CheckpointComparison.Tensor] = [:]
        if let last {
            let result = try store.compareTensors(last, with: manifest) {
                wanted.contains(ByteName($0))
            }
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
            let known = Self.known(difference, before: last == nil ? nil : self.squares[index])
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

    /// Returns the sum of squares, if the comparison has seen every element or none had to be seen.
    private static func known(
        _ tensor: CheckpointComparison.Tensor?, before: Double?
    ) -> Double? {
        guard let tensor else { return nil }
        if tensor.change == .equal { return before }
        let count = tensor.after.flatMap { TensorShape.elementCount($0.shape) }
        guard let difference = tensor.difference, difference.nonFinite == 0,
            difference.compared == count
        else { return nil }
        return difference.squaresAfter
    }

    // MARK: Histograms

    private mutating func addHistograms(
        of manifest: Manifest, _ chosen: [NamePattern]
    ) throws(CheckpointError) {
        let places = Ancestry.evenly(Array(read.indices), 3)
        var loaded: [Manifest] = []
        for place in places { loaded.append(try store.files.load(read[place]).manifest) }
        for name in Self.chosen(manifest, chosen) {
            progress(places.count, places.count)
            let found = zip(places, loaded).compactMap { place, manifest in
                manifest.tensors.first { $0.name.isSameName(as: name) }
                    .map { (place, manifest, $0) }
            }
            if let histogram = try histogram(name, found) { evolution.histograms.append(histogram) }
        }
    }

    /// Returns the requested tensors; by default the largest parameter of each of four layers.
    private static func chosen(_ manifest: Manifest, _ patterns: [NamePattern]) -> [String] {
        if !patterns.isEmpty {
            let names = manifest.tensors.map(\.name).filter { name in
                patterns.contains { $0.matches(name) }
            }
            return Array(names.prefix(histogramsMax))
        }
        let parameters = parameters(manifest)
        let groups = LayerGroups.group(parameters.map(\.name), limit: layersMax)
        let largest = groups.compactMap { group in
            group.members.max { parameters[$0].bytes < parameters[$1].bytes }
        }
        let sorted = largest.sorted {
            (parameters[$0].bytes, $1) > (parameters[$1].bytes, $0)
        }
        return sorted.prefix(4).sorted().map { parameters[$0].name }
    }

    private mutating func histogram(
        _ name: String, _ found: [(place: Int, manifest: Manifest, record: TensorRecord)]
    ) throws(CheckpointError) -> ModelEvolution.Histogram? {
        let streams = found.map { TensorStream(store: store, manifest: $0.manifest) }
        defer { evolution.readBytes += streams.reduce(0) { $0 + $1.readBytes } }
        var ranges: [ClosedRange<Double>] = []
        for (entry, stream) in zip(found, streams) {
            if let range = try stream.statistics(of: entry.record).range { ranges.append(range) }
        }
        guard let low = ranges.map(\.lowerBound).min(), let high = ranges.map(\.upperBound).max()
        else { return nil }
        var series: [(checkpoint: Int, counts: [Int])] = []
        for (entry, stream) in zip(found, streams) {
            let histogram = try stream.histogram(of: entry.record, in: low...high, bins: Self.bins)
            series.append((entry.place, histogram.counts))
        }
        return ModelEvolution.Histogram(tensor: name, range: low...high, series: series)
    }
}
