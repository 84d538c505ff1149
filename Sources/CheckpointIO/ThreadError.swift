internal import CPlatform
internal import Glibc

/// The system could not create a thread.
package struct ThreadError: Error, CustomStringConvertible {
    package var name: String
    package var errno: Int32
    package var description: String {
        "thread \(name) could not be created (pthread_create(3) returned error \(errno))"
    }
}
