internal import Foundation

/// A directory that is removed with the object.
package final class TemporaryDirectory: Sendable {
    package let path: String

    package init() throws {
        path = NSTemporaryDirectory() + "/ckpt-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // Errors are ignored: a directory that remains does no harm in the temporary directory.
        try? FileManager.default.removeItem(atPath: path)
    }

    package func appending(_ name: String) -> String { path + "/" + name }
}
