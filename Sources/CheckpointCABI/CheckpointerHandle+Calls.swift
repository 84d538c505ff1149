public import CCheckpoint
internal import CheckpointDevices
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointStorage
internal import Checkpointing

extension CheckpointerHandle {
    fileprivate static func find(_ handle: OpaquePointer?) throws(CheckpointError)
        -> CheckpointerHandle
    {
        unsafe try HandleTable.shared.object(handle, CheckpointerHandle.self)
    }
}

/// Runs the body of a call that takes the turn of a checkpointer.
func turn(
    _ handle: OpaquePointer?,
    _ body: (inout CheckpointerHandle.Open) throws(CheckpointError) -> Void
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        try unsafe CheckpointerHandle.find(handle).takeTurn(body)
    }
}

/// Makes a checkpointer; see checkpoint.h.
@c @implementation
public func ckpt_checkpointer_open(
    _ store: OpaquePointer?, _ options: UnsafePointer<ckpt_options>?,
    _ checkpointer: UnsafeMutablePointer<OpaquePointer?>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let out = unsafe try CallerMemory.required(checkpointer, "checkpointer")
        let store = unsafe try HandleTable.shared.object(store, StoreHandle.self).store
        let options = unsafe try CheckpointerOptions(options)
        let handle = try CheckpointerHandle(store: store, options)
        unsafe out.pointee = HandleTable.shared.add(handle)
    }
}

/// Closes a checkpointer; see checkpoint.h.
@c @implementation
public func ckpt_checkpointer_close(_ checkpointer: OpaquePointer?) -> ckpt_status {
    Call.end { () throws(CheckpointError) in
        let handle = unsafe try HandleTable.shared.remove(checkpointer, CheckpointerHandle.self)
        try handle?.close()
    }
}

/// Waits for the mirror; see checkpoint.h.
@c @implementation
public func ckpt_wait_until_mirrored(
    _ checkpointer: OpaquePointer?, _ seconds: Double
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let timeout = try CallerMemory.duration(seconds)
        // Waits without the turn, so that other threads go on saving.
        let engine = try unsafe CheckpointerHandle.find(checkpointer).takeTurn { $0.checkpointer }
        try engine.waitUntilMirrored(within: timeout)
    }
}

/// Describes the tensors; see checkpoint.h.
@c @implementation
public func ckpt_describe(
    _ checkpointer: OpaquePointer?, _ tensors: UnsafePointer<ckpt_tensor>?, _ count: Int,
    _ description: UnsafeMutablePointer<UInt64>?
) -> ckpt_status {
    unsafe ckpt_describe_shards(checkpointer, tensors, nil, count, description)
}

/// Describes the tensors of one of several processes; see checkpoint.h.
@c @implementation
public func ckpt_describe_shards(
    _ checkpointer: OpaquePointer?, _ tensors: UnsafePointer<ckpt_tensor>?,
    _ shards: UnsafePointer<ckpt_shard>?, _ count: Int,
    _ description: UnsafeMutablePointer<UInt64>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let described = unsafe try TensorDescription(
            tensors, shards, count: count, in: open.state.scope)
        let number = try open.state.describe(described)
        if let description = unsafe description { unsafe description.pointee = number }
    }
}

/// Describes the tensors in packed form; see checkpoint.h.
@c @implementation
public func ckpt_describe_packed(
    _ checkpointer: OpaquePointer?, _ fields: UnsafePointer<Int64>?, _ fieldCount: Int,
    _ names: UnsafePointer<CChar>?, _ namesLength: Int, _ tensorCount: Int,
    _ description: UnsafeMutablePointer<UInt64>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let fieldCount = unsafe try CallerMemory.count(
            fieldCount, at: fields, max: .max >> 4, "fields")
        let nameBytes = unsafe try CallerMemory.count(
            namesLength, at: names, max: .max >> 4, "bytes of names")
        let described = unsafe try TensorDescription(
            fields: unsafe UnsafeBufferPointer(start: fields, count: fieldCount),
            names: unsafe UnsafeRawBufferPointer(start: names, count: nameBytes),
            count: tensorCount, in: open.state.scope)
        let number = try open.state.describe(described)
        if let description = unsafe description { unsafe description.pointee = number }
    }
}

/// Names a GPU; see checkpoint.h.
@c @implementation
public func ckpt_cuda_device(
    _ checkpointer: OpaquePointer?, _ ordinal: UInt32, _ stream: UInt64,
    _ device: UnsafeMutablePointer<UInt32>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let out = unsafe try CallerMemory.required(device, "device")
        // The driver takes 0 for the legacy default stream, too.
        let stream = stream == 0 ? CUDAStream.legacyDefault.handle : UInt(stream)
        unsafe out.pointee = try open.state.scope.add { () throws(CheckpointError) in
            try translating("opening GPU \(ordinal)") {
                try CUDADevice(ordinal: Int(ordinal), trainerStream: CUDAStream(handle: stream))
            }
        }
    }
}

/// Gives the tensors other addresses; see checkpoint.h.
@c @implementation
public func ckpt_set_pointers(
    _ checkpointer: OpaquePointer?, _ data: UnsafePointer<UnsafeMutableRawPointer?>?, _ count: Int,
    _ description: UnsafeMutablePointer<UInt64>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let count = unsafe try CallerMemory.count(
            count, at: data, max: Limits.tensorsPerManifestMax, "addresses")
        guard let described = open.state.description else {
            throw .argument("no tensors are described", remedy: "Call ckpt_describe first")
        }
        let addresses = unsafe UnsafeBufferPointer(start: data, count: count).map {
            UInt(bitPattern: $0)
        }
        let number = try open.state.describe(
            try described.moved(to: addresses), isNew: false)
        if let description = unsafe description { unsafe description.pointee = number }
    }
}

/// Gets the oldest description that is lent; see checkpoint.h.
@c @implementation
public func ckpt_oldest_lent(
    _ checkpointer: OpaquePointer?, _ description: UnsafeMutablePointer<UInt64>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        unsafe try CallerMemory.required(description, "description").pointee =
            open.state.ledger.oldest
    }
}

/// Sets an object; see checkpoint.h.
@c @implementation
public func ckpt_set_object(
    _ checkpointer: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ role: UInt32,
    _ encoding: UInt32, _ data: UnsafeRawPointer?, _ length: Int
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        unsafe try open.setObject(name, role, encoding, data, length, ofRank: nil)
    }
}

/// Sets an object of one of several processes; see checkpoint.h.
@c @implementation
public func ckpt_set_rank_object(
    _ checkpointer: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ role: UInt32,
    _ encoding: UInt32, _ data: UnsafeRawPointer?, _ length: Int, _ rule: UInt32
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let rule: LentState.RankRule =
            switch Int(rule) {
            case CKPT_REFUSE: .refuse
            case CKPT_FIRST_RANKS: .firstRanks
            default: throw .argument("\(rule) is not a rule for objects of a process")
            }
        unsafe try open.setObject(name, role, encoding, data, length, ofRank: rule)
    }
}

/// Removes an object; see checkpoint.h.
@c @implementation
public func ckpt_remove_object(
    _ checkpointer: OpaquePointer?, _ name: UnsafePointer<CChar>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let name = unsafe try CallerMemory.text(name, "name")
        _ = try open.object(name)
        open.state[object: name] = nil
    }
}

/// Gets an object; see checkpoint.h.
@c @implementation
public func ckpt_get_object(
    _ checkpointer: OpaquePointer?, _ name: UnsafePointer<CChar>?,
    _ data: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ length: UnsafeMutablePointer<Int>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let name = unsafe try CallerMemory.text(name, "name")
        guard let bytes = try open.object(name).bytes else {
            throw CheckpointError(
                .notFound, "object \"\(name)\" has an encoder, and no restore has read it")
        }
        unsafe try setBytes(data, length) { () throws(CheckpointError) in bytes }
    }
}

extension CheckpointerHandle.Open {
    fileprivate func setObject(
        _ name: UnsafePointer<CChar>?, _ role: UInt32, _ encoding: UInt32,
        _ data: UnsafeRawPointer?, _ length: Int, ofRank rule: LentState.RankRule?
    ) throws(CheckpointError) {
        let name = unsafe try Self.objectName(name)
        let length = unsafe try CallerMemory.count(length, at: data, max: .max >> 4, "bytes")
        let bytes = unsafe [UInt8](UnsafeRawBufferPointer(start: data, count: length))
        state[object: name] = LentState.Object(
            role: try ObjectRole(number: role, name),
            encoding: try ObjectEncoding(number: encoding, name), bytes: bytes, rule: rule)
    }

    static func objectName(_ text: UnsafePointer<CChar>?) throws(CheckpointError) -> String {
        let name = unsafe try CallerMemory.text(text, "name")
        guard (1...Limits.nameBytesMax).contains(name.utf8.count) else {
            throw .argument(
                "the name of an object has \(name.utf8.count) bytes, "
                    + "not 1 to \(Limits.nameBytesMax)")
        }
        return name
    }

    fileprivate func object(_ name: String) throws(CheckpointError) -> LentState.Object {
        guard let object = state[object: name] else {
            throw CheckpointError(.notFound, "the state has no object \"\(name)\"")
        }
        return object
    }
}

// MARK: Fences

/// Waits at a fence; see checkpoint.h.
@c @implementation
public func ckpt_fence(
    _ checkpointer: OpaquePointer?, _ group: UnsafePointer<CChar>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let group = unsafe try CallerMemory.optionalText(group, "group")
        if open.fences[group] == nil {
            open.fences[group] = .init(open.checkpointer.permit(for: group))
        }
    }
}

/// Passes a fence if that needs no wait; see checkpoint.h.
@c @implementation
public func ckpt_try_fence(
    _ checkpointer: OpaquePointer?, _ group: UnsafePointer<CChar>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let group = unsafe try CallerMemory.optionalText(group, "group")
        guard open.fences[group] == nil else { return }
        guard let permit = open.checkpointer.permitIfFree(for: group) else {
            throw CheckpointError(.timedOut, "the state is still being captured")
        }
        open.fences[group] = .init(permit)
    }
}

/// Ends a fence; see checkpoint.h.
@c @implementation
public func ckpt_fence_end(
    _ checkpointer: OpaquePointer?, _ group: UnsafePointer<CChar>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        if let group = unsafe try CallerMemory.optionalText(group, "group") {
            open.fences[group] = nil
        } else {
            open.fences = [:]
        }
    }
}

// MARK: Saving

/// Tells whether SIGTERM came; see checkpoint.h.
@c @implementation
public func ckpt_is_terminating(
    _ checkpointer: OpaquePointer?, _ isTerminating: UnsafeMutablePointer<UInt32>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        unsafe try CallerMemory.required(isTerminating, "is_terminating").pointee =
            open.checkpointer.isTerminating ? 1 : 0
    }
}

/// Saves; see checkpoint.h.
@c @implementation
public func ckpt_save(
    _ checkpointer: OpaquePointer?, _ step: Int64, _ metrics: UnsafePointer<ckpt_metric>?,
    _ metricCount: Int, _ ticket: UnsafeMutablePointer<OpaquePointer?>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let count = unsafe try CallerMemory.count(
            metricCount, at: metrics, max: Limits.metricsMax, "metrics")
        var values: [String: Double] = [:]
        let given = unsafe UnsafeBufferPointer(start: metrics, count: count)
        for index in 0..<count {
            let metric = unsafe given[index]
            let name = unsafe try CallerMemory.text(metric.name, "metric.name")
            values[name] = unsafe metric.value
        }
        try open.state.lendAgain()
        let result = try open.checkpointer.save(step: Int(step), metrics: values)
        if let ticket = unsafe ticket {
            unsafe ticket.pointee = HandleTable.shared.add(TicketHandle(result))
        }
    }
}

// MARK: Observing

/// Waits for an event; see checkpoint.h.
@c @implementation
public func ckpt_next_event(
    _ checkpointer: OpaquePointer?, _ seconds: Double, _ event: UnsafeMutablePointer<ckpt_event>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try CheckpointerHandle.find(checkpointer)
        let timeout = try CallerMemory.duration(seconds)
        let out = unsafe try CallerMemory.required(event, "event")
        _ = unsafe try CallerMemory.size(out, "event")
        switch handle.events.next(timeout: timeout) {
        case .event(let found): unsafe try CallerMemory.write(found.structure, to: out, "event")
        case .closed: throw CheckpointError(.cancelled, "the checkpointer is closed")
        case nil: throw CheckpointError(.timedOut, "no event after \(timeout)")
        }
    }
}

/// Gets the time of waiting; see checkpoint.h.
@c @implementation
public func ckpt_get_stall(
    _ checkpointer: OpaquePointer?, _ stall: UnsafeMutablePointer<ckpt_stall>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let report = open.checkpointer.stall
        var result = ckpt_stall()
        result.submit_seconds = report.submit / .seconds(1)
        result.fence_seconds = report.fence / .seconds(1)
        result.disk_seconds = report.backpressure / .seconds(1)
        result.arena_high_water_bytes = UInt64(clamping: report.arenaHighWaterBytes)
        unsafe try CallerMemory.write(result, to: stall, "stall")
    }
}
