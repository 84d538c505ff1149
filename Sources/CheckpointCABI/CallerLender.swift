internal import CCheckpoint
internal import CheckpointStorage

/// A function of the caller that says where its tensors are (`ckpt_set_lender`).
@safe
struct CallerLender {
    typealias Function =
        @convention(c) (
            UnsafeMutableRawPointer?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?, Int
        ) -> Int32

    private let function: Function
    private let context: UnsafeMutableRawPointer?

    init(_ function: @escaping Function, _ context: UnsafeMutableRawPointer?) {
        unsafe self.function = unsafe function
        unsafe self.context = unsafe context
    }

    /// Calls the function.
    ///
    /// - Parameter known: the addresses until now, which it finds in the array that it fills.
    /// - Throws: code `provider` if it fails.
    func addresses(now known: [UInt]) throws(CheckpointError) -> [UInt] {
        var pointers = unsafe known.map { unsafe UnsafeMutableRawPointer(bitPattern: $0) }
        let result = CallerFunctions.run {
            unsafe pointers.withUnsafeMutableBufferPointer { buffer in
                unsafe function(context, buffer.baseAddress, buffer.count)
            }
        }
        guard result == 0 else {
            throw CheckpointError(
                .provider, "the function that lends the tensors returned \(result)")
        }
        return unsafe pointers.map { UInt(bitPattern: $0) }
    }
}
