/// A lock that is held for the lifetime of the object.
package protocol FileLock: AnyObject, Sendable {
    /// Replaces the content of the lock file, for those who do not get the lock. Nothing may be
    /// decided by it.
    ///
    /// - Parameter bytes: At most 4096 bytes.
    /// - Throws: The error of the system call. The lock is held all the same.
    func record(_ bytes: [UInt8]) throws(FileSystemError)
}
