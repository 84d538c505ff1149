// Fits a line to points by gradient descent with momentum, and resumes after a crash:
// QuickStart [STORE [STEP]], where STEP is the step at which the process kills itself.
import Checkpointing
import Foundation

let arguments = CommandLine.arguments
let path = arguments.count > 1 ? arguments[1] : "runs/quickstart"
let lastStep = 1000
let fatalStep = arguments.count > 2 ? Int(arguments[2]) : nil

let weights = try OwnedTensor<Float>(repeating: 0, shape: [2])
let momentum = try OwnedTensor<Float>(repeating: 0, shape: [2])
var step = 0
var seed: UInt64 = 1
let state = CompositeState {
    TensorState("weights", weights.view)
    OptimizerState(tensors: [("m.weights", momentum.view, nil)], getStep: { step }, setStep: { step = $0 })
    ObjectState("random", role: .rng, get: { seed }, set: { seed = $0 })
}

try withCheckpointer(path, state: state) { checkpointer in
    if let report = try checkpointer.resume() { print("resumed at step \(report.step)") }
    while step < lastStep {
        seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let x = Float(seed >> 40) / Float(1 << 24)
        let error = weights[0] * x + weights[1] - (3 * x + 2)
        checkpointer.mutate {
            for (index, slope) in [error * x, error].enumerated() {
                momentum[index] = 0.9 * momentum[index] + slope
                weights[index] -= 0.02 * momentum[index]
            }
            step += 1
        }
        if step == fatalStep { raise(SIGKILL) }
        if step % 100 == 0 { try checkpointer.save(step: step, metrics: ["error": Double(error)]) }
    }
}
print("step \(step): y = \(weights[0]) x + \(weights[1]), momentum \(momentum.values)")
