/// The place of the bucket in the address of an object.
package enum AddressingStyle: String, Sendable {
    /// `https://host/bucket/key`.
    case path
    /// `https://bucket.host/key`.
    case virtualHost
}
