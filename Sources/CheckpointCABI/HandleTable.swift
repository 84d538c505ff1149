internal import CheckpointIO
internal import CheckpointStorage

/// The handles that are open. A handle is a number, so that any value a caller passes can be looked
/// up without touching memory; no number is given out twice.
final class HandleTable: Sendable {
    /// The handles of the process.
    static let shared = HandleTable()

    private struct Entries {
        /// Far above the values that a mistake is likely to pass.
        var next: UInt = 1 << 20
        var objects: [UInt: any Sendable & AnyObject] = [:]
    }

    private let entries = Monitor(Entries(), rank: .unchecked)

    /// Adds an object, and returns its handle.
    func add(_ object: any Sendable & AnyObject) -> OpaquePointer? {
        let number = entries.withLock { entries in
            // A multiple of 16, as the address of an allocation would be.
            entries.next += 16
            entries.objects[entries.next] = object
            return entries.next
        }
        return unsafe OpaquePointer(bitPattern: number)
    }

    /// Returns the object of a handle.
    ///
    /// - Throws: code `misuse` if the handle is NULL, closed, or that of another kind.
    func object<T: AnyObject>(_ handle: OpaquePointer?, _: T.Type) throws(CheckpointError) -> T {
        let number = UInt(bitPattern: handle)
        guard number != 0 else { throw Self.misuse("the handle is NULL") }
        let found = entries.withLock { $0.objects[number] }
        guard let found else {
            throw Self.misuse("the handle is closed, or was never opened")
        }
        guard let object = found as? T else {
            throw Self.misuse("the handle is of a different kind")
        }
        return object
    }

    /// Removes a handle, and returns its object; nil if the handle is NULL.
    ///
    /// - Throws: code `misuse` if the handle is closed, or that of another kind.
    func remove<T: AnyObject>(_ handle: OpaquePointer?, _ type: T.Type) throws(CheckpointError)
        -> T?
    {
        guard unsafe handle != nil else { return nil }
        let object = unsafe try object(handle, type)
        let removed = entries.withLock { $0.objects.removeValue(forKey: UInt(bitPattern: handle)) }
        // Two threads may close the same handle at the same time.
        guard removed != nil else { throw Self.misuse("the handle is closed") }
        return object
    }

    private static func misuse(_ message: String) -> CheckpointError {
        CheckpointError(.misuse, message, remedy: "Pass a handle that a ckpt_..._open call has set")
    }
}
