package import CheckpointFormat
internal import CheckpointSharding

/// A taker of objects that a state does not describe. Only the thread that restores calls it.
@safe
package struct ObjectReceiver: @unchecked Sendable {
    let receive: (String, ObjectRole, ObjectEncoding, [UInt8]) throws -> Void

    /// Returns an item that passes the bytes of an object on.
    package func item(
        _ name: String, _ role: ObjectRole, _ encoding: ObjectEncoding
    ) -> ObjectItem {
        ObjectItem(
            name: name, role: role, encoding: encoding, freeze: { { [] } },
            restore: { [receive] in try receive(name, role, encoding, $0) })
    }
}
