internal import CCheckpoint
internal import CheckpointStorage

/// The frame around every call: turns errors into a status and a text.
enum Call {
    /// Runs the body of a call.
    ///
    /// - Returns: `CKPT_OK`, or the status of the error; its text is that of the thread's last
    ///   failure then.
    static func run(_ body: () throws(CheckpointError) -> Void) -> Int32 {
        do throws(CheckpointError) {
            guard cc_is_forked() == 0 else {
                throw CheckpointError(
                    .misuse, "this process is a fork() of one that uses the library",
                    remedy: "Use stores and checkpointers only in the parent, "
                        + "or call exec() after fork()")
            }
            guard cc_is_in_program() == 0 else {
                throw CheckpointError(
                    .misuse, "a function that the library calls has called the library",
                    remedy: "Do so when it has returned, or on another thread")
            }
            try body()
            return Int32(CKPT_OK)
        } catch {
            return report(error)
        }
    }

    /// Runs the body of a call that closes a handle: it does nothing after a fork.
    static func end(_ body: () throws(CheckpointError) -> Void) -> Int32 {
        cc_is_forked() == 0 ? run(body) : Int32(CKPT_OK)
    }

    private static func report(_ error: CheckpointError) -> Int32 {
        unsafe error.description.withCString { message in
            unsafe (error.remedy ?? "").withCString { remedy in
                unsafe (error.path ?? "").withCString { path in
                    unsafe cc_set_failure(message, remedy, path)
                }
            }
        }
        return error.code.status
    }
}

extension CheckpointError {
    /// A bad argument.
    static func argument(_ message: String, remedy: String? = nil) -> CheckpointError {
        CheckpointError(.misuse, message, remedy: remedy)
    }
}

extension CheckpointError.Code {
    /// The number of the code in checkpoint.h.
    var status: Int32 {
        let status =
            switch self {
            case .notFound: CKPT_NOT_FOUND
            case .notAStore: CKPT_NOT_A_STORE
            case .busy: CKPT_BUSY
            case .exists: CKPT_EXISTS
            case .noSpace: CKPT_NO_SPACE
            case .readOnly: CKPT_READ_ONLY
            case .io: CKPT_IO
            case .damaged: CKPT_DAMAGED
            case .unsupported: CKPT_UNSUPPORTED
            case .mismatch: CKPT_MISMATCH
            case .misuse: CKPT_MISUSE
            case .cancelled: CKPT_CANCELLED
            case .skipped: CKPT_SKIPPED
            case .timedOut: CKPT_TIMED_OUT
            case .outOfMemory: CKPT_OUT_OF_MEMORY
            case .provider: CKPT_PROVIDER
            case .device: CKPT_DEVICE
            }
        return Int32(status)
    }
}
