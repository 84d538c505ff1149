import CheckpointDevices
import CheckpointMaintenance
import Checkpointing

// What the articles assume that their reader has: a trainer, and what an earlier article made.

final class Trainer: @unchecked Sendable {
    var step = 0
    var random: [UInt64] = []
    var cursor = 0
    func forwardBackward() -> Double { 0 }
    func update() {}
}

final class Optimizer: @unchecked Sendable {
    let groups: [String] = []
    func update(_ group: String) {}
}

struct Parameter {
    let name: String
    let view: TensorView
    let layer: String
}

let trainer = Trainer()
let optimizer = Optimizer()
let step = 0
var parameters: [Parameter] { given() }
var moments: [(name: String, view: TensorView, group: String?)] { given() }
var tensor: AnyObject { given() }
var stream: UInt { given() }
var pointer: UInt64 { given() }
let bytes = 0

var state: CompositeState { given() }
var store: CheckpointStore { given() }
var reader: CheckpointStore { given() }
var checkpointer: Checkpointer { given() }
var ticket: SaveTicket { given() }

func update(_ group: String) {}
func submitForwardBackward() {}
func submitUpdate(_ group: String) {}

/// A value that the code needs in order to be compiled. It is never run.
func given<Value>() -> Value { fatalError("snippets are compiled, not run") }
