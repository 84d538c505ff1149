public import CCheckpoint
internal import CheckpointState
internal import CheckpointStorage

/// The frame around every call of a function of the program.
enum CallerFunctions {
    /// Runs `body`, which calls a function of the program. Calls of the library from there are
    /// refused: they could wait for the call that this one is a part of.
    static func run<R>(_ body: () -> R) -> R {
        cc_enter_program()
        defer { cc_leave_program() }
        return body()
    }
}

/// Adds a device of the caller; see checkpoint.h.
@c @implementation
public func ckpt_add_device(
    _ checkpointer: OpaquePointer?, _ device: UnsafePointer<ckpt_device>?,
    _ number: UnsafeMutablePointer<UInt32>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let out = unsafe try CallerMemory.required(number, "number")
        unsafe out.pointee = try open.state.scope.add { () throws(CheckpointError) in
            unsafe try CallerDevice(device)
        }
    }
}

/// Sets an object that is encoded in the background; see checkpoint.h.
@c @implementation
public func ckpt_set_encoder(
    _ checkpointer: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ role: UInt32,
    _ encoding: UInt32, _ encoder: UnsafePointer<ckpt_encoder>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let name = unsafe try CheckpointerHandle.Open.objectName(name)
        let encoder = unsafe try CallerEncoder(encoder, name: name)
        open.state[object: name] = LentState.Object(
            role: try ObjectRole(number: role, name),
            encoding: try ObjectEncoding(number: encoding, name),
            bytes: open.state[object: name]?.bytes, encoder: encoder)
    }
}

/// Sets the function that says where the tensors are; see checkpoint.h.
@c @implementation
public func ckpt_set_lender(
    _ checkpointer: OpaquePointer?,
    _ lend: (
        @convention(c) (
            UnsafeMutableRawPointer?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?, Int
        ) -> Int32
    )?, _ context: UnsafeMutableRawPointer?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        open.state.lender = unsafe lend.map { unsafe CallerLender($0, context) }
    }
}
