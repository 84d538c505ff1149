import Foundation
import ReferenceModel

extension ModelConfiguration {
    /// Small enough for thousands of passes in a debug build, with every kind of parameter.
    static let micro = ModelConfiguration(vocabulary: 13, context: 6, layers: 2, heads: 2, width: 8)
    /// As small, but reads any bytes.
    static let microBytes = ModelConfiguration(context: 8, layers: 2, heads: 2, width: 8)
}

extension Tensor {
    var values: [Float] { unsafe withValues { unsafe Array($0) } }

    /// Bit patterns tell apart what == on floats does not.
    var bits: [UInt32] { values.map(\.bitPattern) }

    subscript(index: Int) -> Float {
        get { unsafe withValues { unsafe $0[index] } }
        set { unsafe withValues { unsafe $0[index] = newValue } }
    }

    func copyValues(of other: Tensor) {
        for i in 0..<count { self[i] = other[i] }
    }
}

let licence = [UInt8](try! Data(contentsOf: URL(filePath: "/usr/share/common-licenses/GPL-3")))

func recoded<Value: Codable>(_ value: Value) throws -> Value {
    try JSONDecoder().decode(Value.self, from: JSONEncoder().encode(value))
}

/// All that a training run consists of.
struct Run {
    var random: RandomGenerator
    var cursor: DataCursor
    var schedule: LearningRateSchedule
    let model: GPT
    let optimizer: AdamW

    init(_ configuration: ModelConfiguration, seed: UInt64, peak: Float = 3e-3) {
        random = RandomGenerator(seed: seed)
        cursor = DataCursor(seed: seed)
        schedule = LearningRateSchedule(peak: peak, floor: 1e-4, warmupSteps: 4, totalSteps: 100)
        model = GPT(configuration: configuration, random: &random)
        optimizer = AdamW(model: model)
    }

    var tensors: [Tensor] { model.parameters + optimizer.firstMoments + optimizer.secondMoments }

    mutating func train(steps: Int, batch: Int = 3) throws -> [Float] {
        try (0..<steps).map { _ in try trainStep(batch: batch) }
    }

    private mutating func trainStep(batch: Int) throws -> Float {
        let context = model.configuration.context
        let windows = cursor.nextBatch(from: licence, batch: batch, context: context)
        let loss = try model.lossAndGradients(
            inputs: windows.inputs, targets: windows.targets, batch: batch, random: &random)
        optimizer.clipGradients(maxNorm: 1)
        let rate = schedule.rate(at: optimizer.step)
        optimizer.beginStep()
        optimizer.update(learningRate: rate)
        return loss
    }
}
