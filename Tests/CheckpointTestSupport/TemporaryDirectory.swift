internal import Foundation

/// A directory that is removed with the object.
package final class TemporaryDirectory: Sendable {
    package let path: String

    package init() throws {
        path = NSTemporaryDirectory() + "/ckpt-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // A directory that stays is the temporary directory's affair.
        try? FileManager.default.removeItem(atPath: path)
    }

    package func appending(_ name: String) -> String { path + "/" + name }
}
