// Lists a store, reads a tensor and an object, verifies, exports and prunes: ReadCheckpoint STORE OUT
import CheckpointInterchange
import CheckpointMaintenance
import CheckpointStorage

let (path, output) = (CommandLine.arguments[1], CommandLine.arguments[2])
let store = try CheckpointStore.open(path, for: .maintaining) { print("warning: \($0)") }
for case .success(let summary) in try store.checkpoints() {
    print("step \(summary.step): \(summary.tensorCount) tensors, \(summary.logicalBytes) bytes")
}

let checkpoint = try store.newestIntact()
for tensor in checkpoint.tensors {
    let first = try checkpoint.bytes(ofTensor: tensor.name, range: 0..<min(tensor.byteCount, 4))
    print("\(tensor.name) \(tensor.type)\(tensor.shape) \(tensor.role) begins with \(first)")
    print("  digest \(try checkpoint.digest(ofTensor: tensor.name))")
    print("  norm \(try checkpoint.statistics(ofTensor: tensor.name).norm)")
}
for object in checkpoint.objects {
    let text = String(decoding: try checkpoint.bytes(ofObject: object.name), as: UTF8.self)
    print("object \(object.name): \(text)")
}

let damage = try store.verify(.latest).findings
print("\(damage.count) problems found")

let export = try store.export(to: output)
print("exported \(export.tensors.count) tensors to \(export.files.count) file")

var policy = RetentionPolicy()
policy.keepLast = 1
let pruned = try store.prune(policy)
print("removed \(pruned.removedCount) checkpoints, freed \(pruned.freedBytes) bytes")
