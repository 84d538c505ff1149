internal import CCheckpoint
internal import CheckpointState
internal import CheckpointStorage
internal import Glibc

/// An object that functions of the caller encode in the background (`ckpt_encoder`).
@safe
final class CallerEncoder: Sendable {
    /// A value that was taken, until the library needs it no more.
    @safe
    private final class Value: Sendable {
        nonisolated(unsafe) private let value: UnsafeMutableRawPointer?
        private let encoder: CallerEncoder

        init(_ value: UnsafeMutableRawPointer?, _ encoder: CallerEncoder) {
            unsafe self.value = unsafe value
            self.encoder = encoder
        }

        deinit {
            CallerFunctions.run {
                unsafe encoder.calls.release?(encoder.calls.context, value)
            }
        }

        func encoded() throws -> [UInt8] {
            var data: UnsafeMutableRawPointer?
            var length = 0
            let result = CallerFunctions.run {
                unsafe encoder.calls.encode?(encoder.calls.context, value, &data, &length) ?? 0
            }
            defer { unsafe free(data) }
            guard result == 0 else { throw encoder.failure("encode", result) }
            guard length == 0 || (unsafe data != nil && length > 0) else {
                throw CheckpointError(
                    .provider,
                    "object \(encoder.name): encode of the program returned no data for a length "
                        + "of \(UInt(bitPattern: length))")
            }
            return unsafe Array(UnsafeRawBufferPointer(start: data, count: length))
        }
    }

    private let name: String
    /// The functions may be called on any thread, which the header demands.
    nonisolated(unsafe) private let calls: ckpt_encoder

    /// Reads a structure of checkpoint.h.
    ///
    /// - Throws: code `misuse` if a function is missing.
    init(_ pointer: UnsafePointer<ckpt_encoder>?, name: String) throws(CheckpointError) {
        guard let pointer = unsafe pointer else { throw .argument("the argument encoder is NULL") }
        let raw = unsafe UnsafeRawPointer(pointer)
        let size = unsafe try CallerMemory.size(raw, "encoder")
        let given = unsafe CallerMemory.read(raw, zero: ckpt_encoder(), size: size)
        guard unsafe given.freeze != nil, unsafe given.encode != nil else {
            throw .argument("the encoder of object \"\(name)\" lacks freeze or encode")
        }
        self.name = name
        unsafe calls = given
    }

    /// Takes the value as it is now, on the trainer's thread.
    func freeze() throws -> FrozenObject {
        var taken: UnsafeMutableRawPointer?
        let result = CallerFunctions.run {
            unsafe calls.freeze?(calls.context, &taken) ?? 0
        }
        guard result == 0 else { throw failure("freeze", result) }
        let value = unsafe Value(taken, self)
        return { try value.encoded() }
    }

    private func failure(_ function: String, _ result: Int32) -> CheckpointError {
        CheckpointError(
            .provider, "object \(name): \(function) of the program returned \(result)")
    }
}
