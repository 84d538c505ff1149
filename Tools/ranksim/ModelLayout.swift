import ArgumentParser
import CheckpointFormat
import CheckpointSharding

/// The tensors of a large language model, and how tensor, pipeline, data and expert parallelism
/// divide them. Weights are bf16 and held by all data-parallel ranks; masters and moments are f32
/// and divided among them (ZeRO-1), on top of tensor parallelism.
struct ModelLayout {
    /// Models by the number of their parameters.
    enum Model: String, CaseIterable, ExpressibleByArgument {
        /// 70 B parameters: 80 layers of width 8192, 8 heads of keys.
        case dense70 = "70b"
        /// 1 T parameters: 64 layers of width 8192 with 64 experts each.
        case experts1000 = "1t"
        /// 40 M parameters: 16 layers of width 512, to try the simulation.
        case tiny
    }

    /// One tensor of the checkpoint.
    struct Tensor {
        var name: String
        var type: ElementType
        var role: TensorRole
        var sharding: TensorSharding
    }

    let mesh: RankMesh
    let tensors: [Tensor]

    /// Divides a model among ranks: 8 for tensors, up to 16 stages, and the rest for data.
    ///
    /// - Parameters:
    ///   - model: the model.
    ///   - worldSize: number of ranks: a power of two, at least 8.
    /// - Throws: `ValidationError` if the number does not divide the model.
    init(_ model: Model, worldSize: Int) throws {
        let tp = 8
        let stagesMax = model == .experts1000 ? (worldSize >= 4096 ? 16 : 8) : 4
        let stages = min(worldSize / tp, stagesMax)
        mesh = try RankMesh(["pp": stages, "dp": worldSize / tp / stages, "tp": tp])
        guard mesh.worldSize == worldSize else {
            throw ValidationError("\(worldSize) ranks are not 8, 16, 32 and so on")
        }
        var builder = Builder(
            stages: stages, width: model == .tiny ? 512 : 8192,
            vocabulary: model == .tiny ? 1024 : 128_256)
        switch model {
        case .dense70: builder.add(layers: 80, hidden: 28_672, experts: nil)
        case .experts1000: builder.add(layers: 64, hidden: 10_240, experts: 64)
        case .tiny: builder.add(layers: 16, hidden: 1024, experts: nil)
        }
        tensors = builder.tensors
    }

    private struct Builder {
        let stages: Int
        let width: Int
        let vocabulary: Int
        var tensors: [Tensor] = []
        private let keyHeads = 8

        mutating func add(layers: Int, hidden: Int, experts: Int?) {
            add("embedding", [vocabulary, width], stage: 0) { $0.split(0, over: "tp") }
            for layer in 0..<layers {
                let (name, stage) = ("layers.\(layer)", layer * stages / layers)
                add("\(name).norm1", [width], stage: stage)
                add("\(name).norm2", [width], stage: stage)
                add("\(name).q", [width, width], stage: stage) { $0.split(0, over: "tp") }
                let heads = keyHeads
                for key in ["k", "v"] {
                    add("\(name).\(key)", [width / 8, width], stage: stage) {
                        $0.heads(0, heads, over: "tp")
                    }
                }
                add("\(name).o", [width, width], stage: stage) { $0.split(1, over: "tp") }
                addFeedForward(name, stage, hidden, experts)
            }
            add("norm", [width], stage: stages - 1)
            add("head", [vocabulary, width], stage: stages - 1) { $0.split(0, over: "tp") }
        }

        private mutating func addFeedForward(
            _ name: String, _ stage: Int, _ hidden: Int, _ experts: Int?
        ) {
            guard let experts else {
                add("\(name).gate", [hidden, width], stage: stage) { $0.split(0, over: "tp") }
                add("\(name).up", [hidden, width], stage: stage) { $0.split(0, over: "tp") }
                add("\(name).down", [width, hidden], stage: stage) { $0.split(1, over: "tp") }
                return
            }
            add("\(name).router", [experts, width], stage: stage)
            for (matrix, shape, split) in [
                ("gate", [experts, hidden, width], 1), ("up", [experts, hidden, width], 1),
                ("down", [experts, width, hidden], 2),
            ] {
                add("\(name).experts.\(matrix)", shape, stage: stage, isExpert: true) {
                    $0.split(0, over: "dp").split(split, over: "tp")
                }
            }
        }

        /// Adds a parameter, its master and its moments.
        private mutating func add(
            _ name: String, _ shape: [Int], stage: Int, isExpert: Bool = false,
            _ split: (TensorSharding) -> TensorSharding = { $0 }
        ) {
            let weight = split(TensorSharding(shape).only("pp", at: stage))
            tensors.append(
                Tensor(name: "model.\(name)", type: .bf16, role: .parameter, sharding: weight))
            let state = isExpert ? weight : weight.split(0, over: "dp")
            for kind in ["master", "m", "v"] {
                tensors.append(
                    Tensor(
                        name: "optimizer.\(kind).\(name)", type: .f32, role: .optimizer,
                        sharding: state))
            }
        }
    }
}
