/// The system refused memory.
package struct OutOfMemory: Error, CustomStringConvertible {
    /// Size of the refused allocation in bytes.
    package var bytes: Int
    package var description: String { "cannot allocate \(bytes) bytes of memory" }
}
