package import CheckpointFormat
package import Checkpointing

/// Description of a tensor to create.
package struct TensorSpecification: Sendable, Equatable {
    /// Distribution of the tensor's values.
    package enum Values: Sendable { case weights, means, squares }

    package var name: String
    package var type: ElementType
    package var shape: [Int]
    package var role: TensorRole
    /// Name of the group that is mutated together.
    package var group: String
    /// Position of the group in the update: groups of one block change one after the other.
    package var block = 0
    package var values = Values.weights
    /// True if the update does not change the tensor.
    package var isFrozen = false
    /// The part of the tensor that this rank holds, whose extents are `shape`; nil if it holds the
    /// complete tensor.
    package var shard: TensorShard?

    package var byteCount: Int { TensorShape.byteCount(shape, type) ?? 0 }
}

/// States like those of real training runs, with random values.
package enum SyntheticState: String, Sendable, CaseIterable {
    /// GPT-2 with 124M parameters in f32 and AdamW's two moments: 444 tensors, 1.49 GB.
    case gpt2
    /// The same model with 9 blocks, weights in bf16, and master copies and moments in f32: 448
    /// tensors, 1.44 GB.
    case bf16
    /// 20,000 tensors of 1 to 64 KB, 0.65 GB.
    case small
    /// A frozen base in bf16, and trained adapters with moments: 1.5 GB, and 28 MB (1.9 %) of it
    /// change.
    case lora

    /// Returns the tensors in the order in which a trainer would describe them.
    ///
    /// - Parameter scale: size relative to the full size; above 0 and at most 1.
    /// - Returns: descriptions of the tensors.
    package func tensors(scale: Double) -> [TensorSpecification] {
        let width = { (full: Int) in max(Int((Double(full) * scale.squareRoot()).rounded()), 1) }
        switch self {
        case .gpt2: return Self.adamW(Self.gpt2(blocks: 12, width), weights: .f32)
        case .bf16: return Self.adamW(Self.gpt2(blocks: 9, width), weights: .bf16)
        case .small: return Self.small(count: max(Int(20_000 * scale), 8))
        case .lora: return Self.lora(width)
        }
    }

    /// Returns the part of the tensors that a data-parallel rank with ZeRO-1 holds: all parameters,
    /// and its rows of the optimizer's state.
    ///
    /// - Parameters:
    ///   - scale: size relative to the full size.
    ///   - rank: the rank.
    ///   - worldSize: number of ranks.
    /// - Throws: `ShardingError` if the numbers are out of range.
    func tensors(
        scale: Double, rank: Int, of worldSize: Int
    ) throws(ShardingError) -> [TensorSpecification] {
        let mesh = try RankMesh(["dp": worldSize])
        var tensors = tensors(scale: scale)
        for (index, tensor) in tensors.enumerated() {
            let whole = TensorSharding(tensor.shape)
            let sharding = tensor.role == .optimizer ? whole.split(0, over: "dp") : whole
            let shard = try sharding.shard(of: rank, in: mesh)
            (tensors[index].shape, tensors[index].shard) = (shard.memoryShape, shard)
        }
        return tensors
    }

    private struct Parameter {
        var name: String
        var shape: [Int]
        var block: String
    }

    /// Returns the parameters of GPT-2 with their usual names. The output head shares `wte`.
    private static func gpt2(blocks: Int, _ width: (Int) -> Int) -> [Parameter] {
        let (vocabulary, context, model) = (width(50_257), width(1024), width(768))
        var parameters = [
            Parameter(name: "wte.weight", shape: [vocabulary, model], block: "embedding"),
            Parameter(name: "wpe.weight", shape: [context, model], block: "embedding"),
        ]
        func add(_ block: String, _ name: String, _ shape: [Int]) {
            parameters.append(Parameter(name: "\(block).\(name)", shape: shape, block: block))
        }
        func addNorm(_ block: String, _ name: String?) {
            for kind in ["weight", "bias"] { add(block, name.map { "\($0).\(kind)" } ?? kind, [model]) }
        }
        for index in 0..<blocks {
            let layers = [
                ("attn.c_attn", model, 3 * model), ("attn.c_proj", model, model), ("mlp.c_fc", model, 4 * model),
                ("mlp.c_proj", 4 * model, model),
            ]
            for (number, (name, inputs, outputs)) in layers.enumerated() {
                if number % 2 == 0 { addNorm("h.\(index)", "ln_\(number / 2 + 1)") }
                add("h.\(index)", "\(name).weight", [inputs, outputs])
                add("h.\(index)", "\(name).bias", [outputs])
            }
        }
        addNorm("ln_f", nil)
        return parameters
    }

    /// Returns parameters with the optimizer tensors that mixed or full precision training by AdamW
    /// keeps for each. Each block and kind has a group.
    private static func adamW(_ parameters: [Parameter], weights: ElementType) -> [TensorSpecification] {
        var kinds: [(prefix: String, type: ElementType, role: TensorRole, values: TensorSpecification.Values)] = [
            ("model", weights, .parameter, .weights), ("optimizer.m", .f32, .optimizer, .means),
            ("optimizer.v", .f32, .optimizer, .squares),
        ]
        if weights != .f32 { kinds.insert(("optimizer.master", .f32, .optimizer, .weights), at: 1) }
        var places: [String: Int] = [:]
        for parameter in parameters where places[parameter.block] == nil { places[parameter.block] = places.count }
        return kinds.flatMap { kind in
            parameters.map {
                TensorSpecification(
                    name: "\(kind.prefix).\($0.name)", type: kind.type, shape: $0.shape, role: kind.role,
                    group: "\($0.block).\(kind.prefix)", block: places[$0.block, default: 0], values: kind.values)
            }
        }
    }

    /// Returns 200 tensors per layer, with evenly distributed sizes.
    private static func small(count: Int) -> [TensorSpecification] {
        (0..<count).map { index in
            let layer = "layers.\(index / 200)"
            // Multiples of the golden section of the range: even a few of them are evenly
            // distributed.
            return TensorSpecification(
                name: "\(layer).weight.\(index % 200)", type: .f32, shape: [250 + index &* 9734 % 15_751], role: .parameter,
                group: layer)
        }
    }

    /// Returns a transformer of 24 blocks, with low-rank adapters of rank 8 for the four
    /// projections of attention.
    private static func lora(_ width: (Int) -> Int) -> [TensorSpecification] {
        let (vocabulary, model, rank) = (width(32_000), width(1536), width(8))
        func base(_ name: String, _ shape: [Int]) -> TensorSpecification {
            TensorSpecification(
                name: "base.\(name)", type: .bf16, shape: shape, role: .parameter, group: "base", isFrozen: true)
        }
        var tensors = [base("embedding.weight", [vocabulary, model])]
        var adapters: [Parameter] = []
        for block in (0..<24).map({ "blocks.\($0)" }) {
            for projection in ["q", "k", "v", "o"] {
                tensors.append(base("\(block).\(projection).weight", [model, model]))
                adapters.append(Parameter(name: "\(block).\(projection).lora_a", shape: [rank, model], block: block))
                adapters.append(Parameter(name: "\(block).\(projection).lora_b", shape: [model, rank], block: block))
            }
            tensors.append(base("\(block).up.weight", [4 * model, model]))
            tensors.append(base("\(block).down.weight", [model, 4 * model]))
        }
        return tensors + adamW(adapters, weights: .f32)
    }
}
