// Saves once and ends as its argument says, to show what becomes of the save:
// Endings STORE return|exit|late|throw|term|publish
//
// `late` gives the end of the process less time than the save needs. `term` and `publish` send the
// process SIGTERM while the save is written, without and with `onTermination`.
import Checkpointing
import Foundation

struct LoopEnded: Error {}

let (path, ending) = (CommandLine.arguments[1], CommandLine.arguments[2])
let weights = try OwnedTensor<Float>(repeating: 1, shape: [1 << 22])
for index in 0..<weights.count { weights[index] = Float(index) }
let state = CompositeState { TensorState("weights", weights.view) }

var options = CheckpointerOptions()
options.compression = .none
// About two seconds for 16 MiB.
options.bytesPerSecond = 8 << 20
if ending == "late" { options.exitDeadline = .milliseconds(50) }
if ending == "publish" { options.onTermination = .publishNewest(within: .seconds(60)) }

if ending == "throw" {
    try withCheckpointer(path, state: state, options: options) { checkpointer in
        try checkpointer.save(step: 1)
        throw LoopEnded()
    }
}
let store = try CheckpointStore.open(path, for: .writing)
let checkpointer = try Checkpointer(store: store, state: state, options: options)
let ticket = try checkpointer.save(step: 1)
switch ending {
case "return": break
case "term", "publish":
    kill(getpid(), SIGTERM)
    try ticket.wait()
    // The save is committed; the signal ends the process now, or has ended it already.
    Thread.sleep(forTimeInterval: 60)
default: exit(0)
}
