public import CCheckpoint
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointState
internal import CheckpointStorage
internal import Glibc

/// The object of a `ckpt_checkpoint` handle, with the texts and shapes that callers see.
final class CheckpointHandle: Sendable {
    /// Structures in which callers read until the handle is closed. Each is made when it is asked
    /// for: most callers want a few of many tensors.
    @safe
    private struct Shown {
        var tensors: [Int: ckpt_tensor] = unsafe [:]
        var objects: [Int: ckpt_object] = unsafe [:]
        var checkpoint: Checkpoint?
        /// Indexes of the tensors, once many have been searched for.
        var indexes: [ByteName: Int]?
        var searchCount = 0
    }

    /// A search without indexes takes a hundredth of the time that it takes to make them.
    private static let searchesMax = 100

    private let lookup: TensorLookup
    private let shown = Monitor(Shown(), rank: .unchecked)

    init(_ lookup: TensorLookup) { self.lookup = lookup }

    /// The checkpoint with the entries of all tensors; decoded by the first call that needs them.
    fileprivate func checkpoint() throws(CheckpointError) -> Checkpoint {
        try shown.withLock { shown throws(CheckpointError) in
            if let checkpoint = shown.checkpoint { return checkpoint }
            let checkpoint = try lookup.checkpoint()
            shown.checkpoint = checkpoint
            return checkpoint
        }
    }

    deinit {
        shown.withLock { shown in
            for unsafe tensor in unsafe shown.tensors.values {
                unsafe free(UnsafeMutableRawPointer(mutating: tensor.name))
                unsafe free(UnsafeMutableRawPointer(mutating: tensor.group))
                unsafe tensor.shape?.deallocate()
            }
            for unsafe object in unsafe shown.objects.values {
                unsafe free(UnsafeMutableRawPointer(mutating: object.name))
            }
        }
    }

    /// Writes the tensor at an index to the structure of a caller.
    fileprivate func write(
        tensor index: Int, to target: UnsafeMutablePointer<ckpt_tensor>?
    ) throws(CheckpointError) {
        guard 0..<lookup.tensorCount ~= index else {
            throw CheckpointError(
                .notFound,
                "tensor index \(UInt(bitPattern: index)) is out of range; "
                    + "there are \(lookup.tensorCount) tensors")
        }
        try shown.withLock { shown throws(CheckpointError) in
            if unsafe shown.tensors[index] == nil {
                let info = if let checkpoint = shown.checkpoint { checkpoint.tensors[index] } else {
                    try lookup.tensor(at: index)
                }
                unsafe shown.tensors[index] = unsafe Self.structure(info)
            }
            guard let tensor = unsafe shown.tensors[index] else { return }
            unsafe try CallerMemory.write(tensor, to: target, "tensor")
        }
    }

    /// Writes the object at an index to the structure of a caller.
    fileprivate func write(
        object index: Int, to target: UnsafeMutablePointer<ckpt_object>?
    ) throws(CheckpointError) {
        let checkpoint = try checkpoint()
        guard checkpoint.objects.indices.contains(index) else {
            throw CheckpointError(
                .notFound,
                "object index \(UInt(bitPattern: index)) is out of range; "
                    + "there are \(checkpoint.objects.count) objects")
        }
        try shown.withLock { shown throws(CheckpointError) in
            let object = unsafe shown.objects[index] ?? Self.structure(checkpoint.objects[index])
            unsafe shown.objects[index] = object
            unsafe try CallerMemory.write(object, to: target, "object")
        }
    }

    private static func structure(_ info: TensorInfo) -> ckpt_tensor {
        var tensor = unsafe ckpt_tensor()
        unsafe tensor.name = unsafe UnsafePointer(strdup(info.name))
        unsafe tensor.group = unsafe UnsafePointer(strdup(info.group))
        let shape = UnsafeMutablePointer<Int64>.allocate(capacity: info.shape.count + 1)
        for (index, extent) in info.shape.enumerated() { unsafe shape[index] = Int64(extent) }
        unsafe tensor.shape = unsafe UnsafePointer(shape)
        unsafe tensor.bytes = UInt64(clamping: info.byteCount)
        unsafe tensor.rank = UInt32(info.shape.count)
        unsafe tensor.type = UInt32(info.type.code)
        unsafe tensor.role = info.role.number
        return unsafe tensor
    }

    private static func structure(_ info: ObjectInfo) -> ckpt_object {
        var object = unsafe ckpt_object()
        unsafe object.name = unsafe UnsafePointer(strdup(info.name))
        unsafe object.bytes = UInt64(clamping: info.byteCount)
        unsafe object.role = info.role.number
        unsafe object.encoding = info.encoding.number
        return unsafe object
    }

    /// Returns the index of a tensor.
    fileprivate func index(of name: String) throws(CheckpointError) -> Int {
        let found = try shown.withLock { shown throws(CheckpointError) -> Int? in
            shown.searchCount += 1
            guard shown.searchCount > Self.searchesMax else {
                return try lookup.index(ofTensor: name)
            }
            if shown.indexes == nil {
                if shown.checkpoint == nil { shown.checkpoint = try lookup.checkpoint() }
                let tensors = shown.checkpoint?.tensors ?? []
                shown.indexes = Dictionary(
                    tensors.enumerated().map { (ByteName($1.name), $0) },
                    uniquingKeysWith: { first, _ in first })
            }
            return shown.indexes?[ByteName(name)]
        }
        if let found { return found }
        let near = Nearest.byDistance(name, try checkpoint().tensors.map(\.name))
        throw CheckpointError(
            .notFound, "step \(lookup.step) has no tensor \"\(name)\"",
            remedy: near.isEmpty ? nil : "Nearest names: \(near.joined(separator: ", "))")
    }

    /// Reads tensors into the memory of a description.
    fileprivate func read(_ description: TensorDescription) throws(CheckpointError) {
        let views = try description.views(loan: nil)
        for layout in description.layouts { _ = try index(of: layout.name) }
        if views.count == 1, description.layouts[0].shard == nil {
            return try lookup.read(tensor: description.layouts[0].name, into: views[0])
        }
        let state = LentState(rank: nil, of: nil)
        _ = try state.describe(description)
        try lookup.store.restore(
            .id(prefix: lookup.id.description), into: TensorsOnly(state: state),
            mode: .partial)
    }

    fileprivate var tensorCount: Int { lookup.tensorCount }

    fileprivate func byteCount(ofTensor name: String) throws(CheckpointError) -> Int {
        try lookup.tensor(at: index(of: name)).byteCount
    }

    fileprivate func bytes(
        ofTensor name: String, _ range: Range<Int>
    ) throws(CheckpointError) -> [UInt8] {
        try lookup.bytes(ofTensor: name, range: range)
    }

    fileprivate func json() throws(CheckpointError) -> JSONValue {
        let checkpoint = try checkpoint()
        let tensors = checkpoint.tensors.map { tensor -> JSONValue in
            .array([
                .string(tensor.name), .string(tensor.type.rawValue), .counts(tensor.shape),
                .string(tensor.role.rawValue), .string(tensor.group), .count(tensor.byteCount),
            ])
        }
        let objects = checkpoint.objects.map { object -> JSONValue in
            .array([
                .string(object.name), .string(object.role.rawValue),
                .string(object.encoding.rawValue), .count(object.byteCount),
            ])
        }
        let members = checkpoint.summary.members.filter {
            !["tensors", "objects"].contains($0.key)
        }
        return .object(
            members + [.init("tensors", .array(tensors)), .init("objects", .array(objects))])
    }
}

/// The tensors of a state, without its objects.
private struct TensorsOnly: StateProvider {
    let state: LentState

    func describe(to inventory: inout StateInventory) { state.addTensors(to: &inventory) }
}

/// Sets bytes that the caller frees.
func setBytes(
    _ data: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ length: UnsafeMutablePointer<Int>?,
    _ body: () throws(CheckpointError) -> [UInt8]
) throws(CheckpointError) {
    let data = unsafe try CallerMemory.required(data, "data")
    let length = unsafe try CallerMemory.required(length, "length")
    let bytes = try body()
    unsafe data.pointee = try ReturnedMemory.copy(bytes)
    unsafe length.pointee = bytes.count
}

private func checkpointHandle(_ handle: OpaquePointer?) throws(CheckpointError) -> CheckpointHandle
{
    unsafe try HandleTable.shared.object(handle, CheckpointHandle.self)
}

/// Opens a checkpoint; see checkpoint.h.
@c @implementation
public func ckpt_checkpoint_open(
    _ store: OpaquePointer?, _ reference: UnsafePointer<CChar>?,
    _ checkpoint: UnsafeMutablePointer<OpaquePointer?>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let out = unsafe try CallerMemory.required(checkpoint, "checkpoint")
        let store = unsafe try HandleTable.shared.object(store, StoreHandle.self)
        let target = try StoreHandle.reference(
            unsafe CallerMemory.optionalText(reference, "reference"))
        let lookup = try store.lookup(target)
        unsafe out.pointee = HandleTable.shared.add(CheckpointHandle(lookup))
    }
}

/// Closes a checkpoint; see checkpoint.h.
@c @implementation
public func ckpt_checkpoint_close(_ checkpoint: OpaquePointer?) -> ckpt_status {
    Call.end { () throws(CheckpointError) in
        _ = unsafe try HandleTable.shared.remove(checkpoint, CheckpointHandle.self)
    }
}

/// Gets the summary of a checkpoint; see checkpoint.h.
@c @implementation
public func ckpt_checkpoint_summary(
    _ checkpoint: OpaquePointer?, _ summary: UnsafeMutablePointer<ckpt_summary>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try checkpointHandle(checkpoint)
        unsafe try CallerMemory.write(handle.checkpoint().summary.structure, to: summary, "summary")
    }
}

/// Describes a checkpoint as JSON; see checkpoint.h.
@c @implementation
public func ckpt_checkpoint_json(
    _ checkpoint: OpaquePointer?, _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        unsafe try setText(text, checkpointHandle(checkpoint).json().text)
    }
}

/// Gets the number of tensors; see checkpoint.h.
@c @implementation
public func ckpt_checkpoint_tensor_count(
    _ checkpoint: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try checkpointHandle(checkpoint)
        unsafe try CallerMemory.required(count, "count").pointee = handle.tensorCount
    }
}

/// Gets a tensor; see checkpoint.h.
@c @implementation
public func ckpt_checkpoint_tensor(
    _ checkpoint: OpaquePointer?, _ index: Int, _ tensor: UnsafeMutablePointer<ckpt_tensor>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try checkpointHandle(checkpoint)
        unsafe try handle.write(tensor: index, to: tensor)
    }
}

/// Finds a tensor; see checkpoint.h.
@c @implementation
public func ckpt_checkpoint_find(
    _ checkpoint: OpaquePointer?, _ name: UnsafePointer<CChar>?,
    _ index: UnsafeMutablePointer<Int>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try checkpointHandle(checkpoint)
        let found = try handle.index(of: unsafe CallerMemory.text(name, "name"))
        unsafe try CallerMemory.required(index, "index").pointee = found
    }
}

/// Gets the number of objects; see checkpoint.h.
@c @implementation
public func ckpt_checkpoint_object_count(
    _ checkpoint: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try checkpointHandle(checkpoint)
        unsafe try CallerMemory.required(count, "count").pointee = handle.checkpoint().objects.count
    }
}

/// Gets an object; see checkpoint.h.
@c @implementation
public func ckpt_checkpoint_object(
    _ checkpoint: OpaquePointer?, _ index: Int, _ object: UnsafeMutablePointer<ckpt_object>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try checkpointHandle(checkpoint)
        unsafe try handle.write(object: index, to: object)
    }
}

/// Reads tensors; see checkpoint.h.
@c @implementation
public func ckpt_read_tensors(
    _ checkpoint: OpaquePointer?, _ tensors: UnsafePointer<ckpt_tensor>?, _ count: Int
) -> ckpt_status {
    unsafe ckpt_read_shards(checkpoint, tensors, nil, count)
}

/// Reads parts of tensors; see checkpoint.h.
@c @implementation
public func ckpt_read_shards(
    _ checkpoint: OpaquePointer?, _ tensors: UnsafePointer<ckpt_tensor>?,
    _ shards: UnsafePointer<ckpt_shard>?, _ count: Int
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try checkpointHandle(checkpoint)
        try handle.read(unsafe TensorDescription(tensors, shards, count: count))
    }
}

/// Reads a range of a tensor; see checkpoint.h.
@c @implementation
public func ckpt_read_range(
    _ checkpoint: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ offset: UInt64,
    _ length: UInt64, _ destination: UnsafeMutableRawPointer?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try checkpointHandle(checkpoint)
        let name = unsafe try CallerMemory.text(name, "name")
        let bytes = try handle.byteCount(ofTensor: name)
        guard offset <= UInt64(bytes), length <= UInt64(bytes) - offset else {
            throw .argument(
                "\(length) bytes from \(offset) are outside tensor \"\(name)\", "
                    + "which has \(bytes) bytes")
        }
        guard length > 0 else { return }
        guard let destination = unsafe destination else {
            throw .argument("the argument destination is NULL")
        }
        let range = Int(offset)..<Int(offset) + Int(length)
        let read = try handle.bytes(ofTensor: name, range)
        unsafe read.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            unsafe destination.copyMemory(from: start, byteCount: bytes.count)
        }
    }
}

/// Reads an object; see checkpoint.h.
@c @implementation
public func ckpt_read_object(
    _ checkpoint: OpaquePointer?, _ name: UnsafePointer<CChar>?,
    _ data: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ length: UnsafeMutablePointer<Int>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try checkpointHandle(checkpoint)
        let name = unsafe try CallerMemory.text(name, "name")
        unsafe try setBytes(data, length) { () throws(CheckpointError) in
            try handle.checkpoint().bytes(ofObject: name)
        }
    }
}

/// Checks a checkpoint; see checkpoint.h.
@c @implementation
public func ckpt_checkpoint_verify(_ checkpoint: OpaquePointer?) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        try unsafe checkpointHandle(checkpoint).checkpoint().check()
    }
}
