import CheckpointSharding
import CheckpointTestSupport
import Testing

/// One sharding of a tensor and the ranks that it is for.
struct NamedStage: Sendable {
    let axes: KeyValuePairs<String, Int>
    let sharding: TensorSharding

    init(_ axes: KeyValuePairs<String, Int>, _ sharding: TensorSharding) {
        (self.axes, self.sharding) = (axes, sharding)
    }

    func simulation() throws -> Simulation { try Simulation(sharding, RankMesh(axes)) }
}

/// Shardings of one tensor that a checkpoint moves through, from the test tables of the frameworks.
struct NamedCase: Sendable, CustomTestStringConvertible {
    let name: String
    let stages: [NamedStage]

    var testDescription: String { name }

    init(_ name: String, _ stages: [NamedStage]) { (self.name, self.stages) = (name, stages) }

    static let all: [NamedCase] = megatron + torch + fused + flat

    /// The vocabulary padded to a multiple of 128 per rank, as Megatron does.
    private static func vocabulary(_ size: Int) -> NamedCase {
        func stage(_ tp: Int) -> NamedStage {
            let multiple = 128 * tp
            let padded = (size + multiple - 1) / multiple * multiple
            let sharding = TensorSharding([size, 2]).padded(0, to: padded)
            return NamedStage(["dp": 2, "tp": tp], sharding.split(0, over: "tp", .even))
        }
        return NamedCase("Megatron: vocabulary of \(size)", [1, 2, 8, 1].map(stage))
    }

    private static let pipeline = TensorSharding([16, 6])
    private static let layers = TensorSharding([12, 4, 6])
    private static let experts = TensorSharding([8, 12, 4]).split(0, over: "ep").split(
        1, over: "etp")
    private static let scales = TensorSharding([8, 1])
    private static let stackedExperts = TensorSharding([5, 7, 3])
    private static let momentum = TensorSharding([5, 4])
    private static let halves = TensorSharding([6, 16]).fused(
        1, [FusedSection(units: 8, of: 1), FusedSection(units: 8, of: 1)], over: "tp")
    private static let rows33 = TensorSharding([33, 2])
    private static let gateUp = TensorSharding([48, 4]).fused(
        0, [FusedSection(units: 24, of: 1), FusedSection(units: 24, of: 1)], over: "tp")

    private static let megatron: [NamedCase] = [
        vocabulary(128), vocabulary(17), vocabulary(127), vocabulary(31123),
        NamedCase(
            "Megatron: TP and PP (2,4), (4,2), (1,8), (8,1), and another order of ranks",
            [
                NamedStage(["pp": 4, "tp": 2], pipeline.only("pp", at: 2).split(0, over: "tp")),
                NamedStage(["pp": 2, "tp": 4], pipeline.only("pp", at: 0).split(0, over: "tp")),
                NamedStage(["pp": 8, "tp": 1], pipeline.only("pp", at: 5).split(0, over: "tp")),
                NamedStage(["pp": 1, "tp": 8], pipeline.only("pp", at: 0).split(0, over: "tp")),
                NamedStage(
                    ["pp": 2, "dp": 2, "tp": 2], pipeline.only("pp", at: 1).split(0, over: "tp")),
                NamedStage(
                    ["dp": 2, "pp": 2, "tp": 2], pipeline.only("pp", at: 1).split(1, over: "tp")),
            ]),
        NamedCase(
            "Megatron#7162: stacked layers, split among stages",
            [
                NamedStage(["pp": 4, "tp": 2], layers.split(0, over: "pp").split(1, over: "tp")),
                NamedStage(["pp": 2], layers.split(0, over: "pp")),
                NamedStage(["pp": 5, "tp": 3], layers.split(0, over: "pp").split(2, over: "tp")),
            ]),
        NamedCase(
            "Megatron: GLU MLP (2,2), (4,2), (1,1), (8,1), (1,8)",
            [
                NamedStage(["pp": 2, "tp": 2], gateUp.only("pp", at: 1)),
                NamedStage(["pp": 2, "tp": 4], gateUp.only("pp", at: 0)),
                NamedStage(["tp": 1], gateUp), NamedStage(["tp": 8], gateUp),
                NamedStage(["pp": 8, "tp": 1], gateUp.only("pp", at: 7)),
            ]),
        NamedCase(
            "Megatron#2769, #5714: fused SwiGLU split by TP, then by FSDP2 across its halves",
            [
                NamedStage(["dp": 3, "tp": 2], gateUp.split(0, over: "dp")),
                NamedStage(["dp": 5, "tp": 4], gateUp.split(0, over: "dp")),
                NamedStage(["tp": 1], gateUp),
            ]),
        NamedCase(
            "Megatron: MoE (ep, etp) (2,2), (1,4), (4,1), (3,5)",
            [
                NamedStage(["ep": 2, "etp": 2], experts), NamedStage(["ep": 1, "etp": 4], experts),
                NamedStage(["ep": 4, "etp": 1], experts),
                NamedStage(["dp": 2, "ep": 3, "etp": 5], experts),
            ]),
        NamedCase(
            "Megatron#1517: layers of experts, from stages to ranks that divide the experts",
            [
                NamedStage(["pp": 3], stackedExperts.split(0, over: "pp")),
                NamedStage(["ep": 4], stackedExperts.split(1, over: "ep")),
                NamedStage(["pp": 2, "ep": 3], stackedExperts.split(0, over: "pp").split(1, over: "ep")),
            ]),
        NamedCase(
            "ltp-megatron-lm#84: grouped experts with two halves, flat ranges that end inside rows",
            [
                NamedStage(["dp": 3, "tp": 2], halves.flat(at: 0, of: 51, over: "dp")),
                NamedStage(["dp": 5, "tp": 1], halves.flat(at: 4, of: 105, over: "dp")),
                NamedStage(["tp": 4], halves),
            ]),
        NamedCase(
            "Megatron#2617, #2307: the whole momentum of a parameter on one of the ranks",
            [
                NamedStage(["dp": 4], momentum.only("dp", at: 2)),
                NamedStage(["dp": 3], momentum.flat(at: 7, of: 30, over: "dp")),
                NamedStage(["dp": 2, "tp": 2], momentum.split(0, over: "tp").only("dp", at: 1)),
                NamedStage(["dp": 1], momentum),
            ]),
        NamedCase(
            "Model-Optimizer#2209: one scale for each expert, with the axis of the experts",
            [
                NamedStage(["ep": 4, "tp": 2], scales.split(0, over: "ep")),
                NamedStage(["ep": 3], scales.split(0, over: "ep")),
                NamedStage(["ep": 1, "tp": 8], scales.split(0, over: "ep")),
            ]),
        NamedCase(
            "Megatron: parts of sizes 1, 5, 7, 3, 6, 2, 5, 4, and all in one",
            [
                NamedStage(
                    ["dp": 8], rows33.split(0, over: "dp", .sizes([1, 5, 7, 3, 6, 2, 5, 4]))),
                NamedStage(["dp": 4], rows33.split(0, over: "dp", .sizes([0, 33, 0, 0]))),
                NamedStage(["dp": 7], rows33.split(0, over: "dp", .balanced)),
            ]),
    ]

    private static let six = TensorSharding([6, 3])
    private static let sixteen = TensorSharding([16, 3])
    private static let seventeen = TensorSharding([17, 4])
    private static let router = TensorSharding([12, 8])
    /// Heads, halves, pairs and inputs.
    private static let rotary = TensorSharding([4, 2, 6, 5])
    private static let seven = TensorSharding([7, 5])

    private static let torch: [NamedCase] = [
        NamedCase(
            "pytorch#108869, #150862, #110762: parts 2, 2, 2, 0; more ranks than rows",
            [
                NamedStage(["dp": 4], six.split(0, over: "dp", .sizes([2, 2, 2, 0]))),
                NamedStage(["dp": 4], six.split(0, over: "dp")),
                NamedStage(["dp": 11], six.split(0, over: "dp")),
                NamedStage(["dp": 5], six.split(1, over: "dp")),
            ]),
        NamedCase(
            "pytorch#160533: parts of any length, of other lengths in another world",
            [
                NamedStage(["dp": 4], seventeen.split(0, over: "dp", .sizes([1, 9, 0, 7]))),
                NamedStage(["dp": 3], seventeen.split(0, over: "dp", .sizes([8, 8, 1]))),
                NamedStage(
                    ["dp": 2, "tp": 2],
                    seventeen.split(0, over: "dp", .sizes([16, 1])).split(1, over: "tp")),
                NamedStage(["dp": 5], seventeen.split(0, over: "dp", .sizes([0, 0, 0, 0, 17]))),
            ]),
        NamedCase(
            "transformers#48519: a transposed router, and heads permuted for RoPE, split after that",
            [
                NamedStage(["tp": 2], router.permuted([1, 0]).split(0, over: "tp")),
                NamedStage(["tp": 2], router.split(0, over: "tp")),
                NamedStage(["tp": 4], router.permuted([1, 0]).split(1, over: "tp")),
                NamedStage(["tp": 3], router.split(0, over: "tp").permuted([1, 0])),
            ]),
        NamedCase(
            "transformers#48519: halves of heads that change places, split by heads",
            [
                NamedStage(["tp": 2], rotary.permuted([0, 2, 1, 3]).split(0, over: "tp")),
                NamedStage(["dp": 3], rotary.split(3, over: "dp")),
                NamedStage(
                    ["dp": 2, "tp": 4],
                    rotary.split(0, over: "tp").permuted([0, 2, 1, 3]).split(1, over: "dp")),
            ]),
        NamedCase(
            "pytorch#131976: a scalar, replicated and in a buffer",
            [
                NamedStage(["dp": 4], TensorSharding([])),
                NamedStage(["dp": 4], TensorSharding([]).flat(at: 5, of: 9, over: "dp")),
                NamedStage(["tp": 3], TensorSharding([])),
            ]),
        NamedCase(
            "pytorch#150490: FSDP over TP as strided shards, even and uneven",
            [
                NamedStage(
                    ["dp": 2, "tp": 4],
                    sixteen.stridedSplit(0, over: "dp", factor: 4).split(0, over: "tp")),
                NamedStage(["dp": 2, "tp": 4], sixteen.split(0, over: "tp").split(0, over: "dp")),
                NamedStage(["dp": 3], sixteen.stridedSplit(0, over: "dp", factor: 5)),
                NamedStage(["dp": 2], sixteen.stridedSplit(0, over: "dp", factor: 16)),
            ]),
        NamedCase(
            "pytorch#168134, #161368: strided parts with gaps; two rows for eight ranks",
            [
                NamedStage(["dp": 2], TensorSharding([5, 2]).stridedSplit(0, over: "dp", factor: 2)),
                NamedStage(
                    ["dp": 4, "tp": 2], TensorSharding([5, 2]).split(0, over: "tp").split(0, over: "dp")),
                NamedStage(["dp": 3], TensorSharding([5, 2]).stridedSplit(0, over: "dp", factor: 3)),
            ]),
        NamedCase(
            "torchtitan#4593: composed uneven shards on up to three axes, HSDP",
            [
                NamedStage(
                    ["r": 2, "dp": 3, "tp": 2], seven.split(0, over: "dp").split(1, over: "tp")),
                NamedStage(
                    ["r": 2, "dp": 3, "tp": 2], seven.split(0, over: "tp").split(0, over: "dp")),
                NamedStage(
                    ["a": 2, "b": 2, "c": 2],
                    seven.split(0, over: "a").split(0, over: "b").split(0, over: "c")),
                NamedStage(["cp": 4], seven),
            ]),
        NamedCase(
            "Empty tensors",
            [
                NamedStage(["dp": 3], TensorSharding([0, 4]).split(1, over: "dp")),
                NamedStage(["dp": 2], TensorSharding([0, 4]).split(0, over: "dp")),
            ]),
    ]

    private static func qkv(_ heads: Int, _ keyHeads: Int, _ order: FusedOrder) -> TensorSharding {
        let queries =
            order == .blocked
            ? FusedSection(units: heads, of: 2)
            : FusedSection(units: keyHeads, of: heads / keyHeads * 2)
        let keys = FusedSection(units: keyHeads, of: 2)
        return TensorSharding([(heads + 2 * keyHeads) * 2, 3]).fused(
            0, [queries, keys, keys], order, over: "tp")
    }

    private static let twelve = [FusedSection](repeating: FusedSection(units: 8, of: 1), count: 12)
    private static let codeGen = TensorSharding([96, 2])
    private static let pairs = [FusedSection](repeating: FusedSection(units: 4, of: 2), count: 2)
    private static let yuan = TensorSharding([16, 32])

    private static let fused: [NamedCase] = [
        NamedCase(
            "Megatron-Bridge#5376: QKV interleaved and blocked, with fewer key heads than ranks",
            [
                NamedStage(["tp": 8], qkv(8, 2, .blocked)),
                NamedStage(["tp": 2], qkv(8, 2, .interleaved)),
                NamedStage(["tp": 4], qkv(8, 2, .interleaved)),
                NamedStage(["tp": 3], qkv(8, 2, .blocked)),
                NamedStage(["dp": 3, "tp": 2], qkv(8, 2, .blocked).split(0, over: "dp")),
                NamedStage(["tp": 1], qkv(8, 2, .interleaved)),
            ]),
        NamedCase(
            "GPTBigCode: one key head, replicated inside a fused parameter",
            [
                NamedStage(["tp": 4], qkv(8, 1, .blocked)),
                NamedStage(["tp": 1], qkv(8, 1, .blocked)),
                NamedStage(["tp": 8], qkv(8, 1, .blocked)),
            ]),
        NamedCase(
            "Yuan: pairs of query and key heads, interleaved; a rank's sections lie apart",
            [
                NamedStage(["tp": 2], yuan.fused(0, pairs, .interleaved, over: "tp")),
                NamedStage(["tp": 4], yuan.fused(0, pairs, over: "tp")),
                NamedStage(["tp": 1], yuan.split(1, over: "tp")),
                NamedStage(["dp": 2, "tp": 2], yuan.split(1, over: "dp").permuted([1, 0])),
            ]),
        NamedCase(
            "CodeGen: many fused sections",
            [
                NamedStage(["tp": 3], codeGen.fused(0, twelve, over: "tp")),
                NamedStage(["tp": 8], codeGen.fused(0, twelve, .interleaved, over: "tp")),
                NamedStage(["tp": 1], codeGen.permuted([1, 0])),
            ]),
    ]

    /// A tensor among others in a buffer.
    private static func zero(_ dp: Int, alignment: Int, multiple: Int) -> NamedStage {
        do {
            let buffer = try FlatBuffer(
                [[7], [5, 5], [3]], alignment: alignment, multiple: multiple)
            let sharding = TensorSharding([5, 5])
            return NamedStage(
                ["dp": dp], sharding.flat(at: buffer.offsets[1], of: buffer.count, over: "dp"))
        } catch { fatalError("\(error)") }
    }

    private static let transposed = TensorSharding([6, 8]).permuted([1, 0])
    private static let hundred = TensorSharding([10, 10])

    private static let flat: [NamedCase] = [
        NamedCase(
            "Megatron#5077, ZeRO 1 to 3, FSDP1: flat ranges of padded buffers",
            [
                zero(4, alignment: 1, multiple: 1), zero(3, alignment: 8, multiple: 24),
                zero(16, alignment: 4, multiple: 128),
                NamedStage(["dp": 2], TensorSharding([5, 5]).split(0, over: "dp")),
                zero(1, alignment: 1, multiple: 64),
            ]),
        NamedCase(
            "FSDP1 over TP: a flat range of a column part, transposed",
            [
                NamedStage(
                    ["dp": 3, "tp": 2],
                    TensorSharding([6, 8]).split(1, over: "tp").flat(at: 3, of: 30, over: "dp")),
                NamedStage(
                    ["dp": 2, "tp": 2],
                    transposed.split(0, over: "tp").flat(at: 0, of: 24, over: "dp")),
                NamedStage(["tp": 8], TensorSharding([6, 8]).split(1, over: "tp")),
            ]),
        NamedCase(
            "World sizes that do not divide: 7, 3, 5, 13",
            [
                NamedStage(["dp": 7], hundred.split(0, over: "dp")),
                NamedStage(["dp": 3], hundred.split(1, over: "dp", .balanced)),
                NamedStage(["dp": 5], hundred.flat(at: 0, of: 100, over: "dp")),
                NamedStage(["dp": 13], hundred.flat(at: 1, of: 102, over: "dp")),
            ]),
    ]
}
