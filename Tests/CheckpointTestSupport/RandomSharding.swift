internal import CheckpointFormat
package import CheckpointSharding

/// Random shardings of every kind.
package struct RandomSharding {
    private var random: SeededGenerator

    package init(_ seed: UInt64) { random = SeededGenerator(seed) }

    /// A shape of up to three dimensions and at most a few hundred elements; sometimes empty.
    package mutating func shape() -> [Int] {
        (0..<random.below(4)).map { _ in random.below(30) == 0 ? 0 : 1 + random.below(9) }
    }

    /// A tensor of this shape on up to 24 ranks.
    package mutating func sharding(_ shape: [Int]) throws -> (TensorSharding, RankMesh) {
        let mesh = try mesh()
        return (try sharding(TensorSharding(shape), shape, mesh), mesh)
    }

    /// A tensor of this shape on up to 72 ranks: sometimes one that is stacked of experts, which
    /// each rank of an axis holds some of as tensors of their own, laid out and split as they like.
    ///
    /// - Returns: the shardings of the experts, or of the complete tensor; and the ranks.
    package mutating func saved(_ shape: [Int]) throws -> ([TensorSharding], RankMesh) {
        guard let count = shape.first, count > 0, random.below(3) == 0 else {
            let (sharding, mesh) = try sharding(shape)
            return ([sharding], mesh)
        }
        let mesh = try mesh(experts: 1 + random.below(3))
        let experts = try (0..<count).map { expert in
            let holder = random.below(mesh.counts[mesh.counts.count - 1])
            let one = TensorSharding(shape).only("ep", at: holder).slice(0, at: expert)
            return try sharding(one, Array(shape.dropFirst()), mesh)
        }
        return (experts, mesh)
    }

    /// A tensor of this shape to restore into: sometimes of one index of a dimension alone, as of one
    /// layer of all.
    package mutating func requested(_ shape: [Int]) throws -> (TensorSharding, RankMesh) {
        let dimensions = shape.indices.filter { shape[$0] > 0 }
        guard !dimensions.isEmpty, random.below(4) == 0 else { return try sharding(shape) }
        let mesh = try mesh()
        let dimension = dimensions[random.below(dimensions.count)]
        let slice = TensorSharding(shape).slice(dimension, at: random.below(shape[dimension]))
        var rest = shape
        rest.remove(at: dimension)
        return (try sharding(slice, rest, mesh), mesh)
    }

    private mutating func mesh(experts: Int? = nil) throws -> RankMesh {
        let (pp, dp, tp) = (1 + random.below(2), 1 + random.below(4), 1 + random.below(3))
        guard let experts else { return try RankMesh(["pp": pp, "dp": dp, "tp": tp]) }
        return try RankMesh(["pp": pp, "dp": dp, "tp": tp, "ep": experts])
    }

    /// One that can be saved: copies of ranks whose parts differ in size may be cut differently,
    /// which is refused.
    private mutating func sharding(
        _ tensor: TensorSharding, _ shape: [Int], _ mesh: RankMesh
    ) throws -> TensorSharding {
        while true {
            let sharding = try anySharding(tensor, shape, mesh)
            do throws(ShardingError) { _ = try TensorIndex(Simulation(sharding, mesh).claims) } catch
            {
                if error.kind == .overlap { continue }
            }
            return sharding
        }
    }

    private mutating func anySharding(
        _ tensor: TensorSharding, _ shape: [Int], _ mesh: RankMesh
    ) throws -> TensorSharding {
        var sharding = tensor
        var axes = ["dp", "tp"].shuffled(using: &random)
        if random.below(4) == 0 {
            sharding = sharding.only("pp", at: random.below(mesh.counts[0]))
        }
        for _ in 0..<random.below(5) where !shape.isEmpty {
            let axis = random.below(2) == 0 ? axes.last : nil
            let next = axis.map { split(sharding, shape, mesh, $0) } ?? layout(sharding, shape)
            // Some steps do not fit what is left of a dimension.
            guard (try? Simulation(next, mesh)) != nil else { continue }
            sharding = next
            if axis != nil { axes.removeLast() }
        }
        if random.below(3) == 0, let axis = axes.popLast() {
            let size = try Simulation(sharding, mesh).locals.compactMap { $0?.count }.max() ?? 0
            let before = random.below(20)
            sharding = sharding.flat(
                at: before, of: before + size + random.below(20), over: axis,
                random.below(2) == 0 ? .chunks : .balanced)
        }
        return sharding
    }

    /// Adds a step that splits nothing.
    private mutating func layout(_ sharding: TensorSharding, _ shape: [Int]) -> TensorSharding {
        let dimension = random.below(shape.count)
        return random.below(2) == 0
            ? sharding.permuted(Array(shape.indices).shuffled(using: &random))
            : sharding.padded(dimension, to: shape[dimension] + random.below(4))
    }

    private mutating func split(
        _ sharding: TensorSharding, _ shape: [Int], _ mesh: RankMesh, _ axis: String
    ) -> TensorSharding {
        let dimension = random.below(shape.count)
        let extent = shape[dimension]
        switch random.below(7) {
        case 0: return sharding.split(dimension, over: axis, .balanced)
        case 1: return sharding.split(dimension, over: axis, .even)
        case 2:
            let count = mesh.counts[mesh.names.firstIndex(of: axis) ?? 0]
            var sizes = (1..<count).map { _ in random.below(extent / count + 1) }
            sizes.append(extent - sizes.reduce(0, +))
            return sharding.split(dimension, over: axis, .sizes(sizes.shuffled(using: &random)))
        case 3:
            return sharding.stridedSplit(dimension, over: axis, factor: 1 + random.below(4))
        case 4: return sharding.heads(dimension, divisor(of: extent), over: axis)
        case 5:
            switch random.below(3) {
            case 0: return sharding.fused(dimension, equalSections(extent), .interleaved, over: axis)
            case 1: return sharding.fused(dimension, equalSections(extent), over: axis)
            default: return sharding.fused(dimension, sections(extent), over: axis)
            }
        default: return sharding.split(dimension, over: axis)
        }
    }

    private mutating func divisor(of extent: Int) -> Int {
        let divisors = (1...max(extent, 1)).filter { extent % $0 == 0 }
        return divisors[random.below(divisors.count)]
    }

    /// Sections with the same number of units that add up to an extent.
    private mutating func equalSections(_ extent: Int) -> [FusedSection] {
        let count = divisor(of: extent)
        var (sections, rest) = ([FusedSection](), extent / count)
        repeat {
            let size = rest == 0 ? 0 : 1 + random.below(rest)
            sections.append(FusedSection(units: count, of: size))
            rest -= size
        } while rest > 0
        return sections
    }

    /// Sections with any numbers of units that add up to an extent, as queries that have more heads
    /// than keys.
    private mutating func sections(_ extent: Int) -> [FusedSection] {
        var (sections, rest) = ([FusedSection](), extent)
        repeat {
            let part = rest == 0 ? 0 : 1 + random.below(rest)
            let units = divisor(of: part)
            sections.append(FusedSection(units: units, of: part / units))
            rest -= part
        } while rest > 0
        return sections
    }
}
