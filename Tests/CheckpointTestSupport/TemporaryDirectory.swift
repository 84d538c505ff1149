internal import Foundation

/// A directory that is removed with the object.
package final class TemporaryDirectory: Sendable {
    package let path: String

    package init() throws {
        let name = "ckpt-test-\(UUID().uuidString)"
        path = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // Errors are ignored: a directory that remains does no harm in the temporary directory.
        try? FileManager.default.removeItem(atPath: path)
    }

    package func appending(_ name: String) -> String { path + "/" + name }

    /// Returns the sorted names in one of its directories.
    ///
    /// - Parameter directory: path below this directory; empty for this directory.
    /// - Throws: an error of Foundation if the directory cannot be listed.
    package func names(in directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: appending(directory)).sorted()
    }

    /// Returns every file below with its size and time of change.
    ///
    /// - Throws: an error of Foundation if a file cannot be examined.
    package func trace() throws -> [String] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: path).sorted()
        return try names.map { name in
            let attributes = try FileManager.default.attributesOfItem(atPath: appending(name))
            return "\(name) \(attributes[.size] ?? 0) \(attributes[.modificationDate] ?? "")"
        }
    }

    /// Flips one bit of a file.
    ///
    /// - Parameters:
    ///   - name: path of the file below this directory.
    ///   - offset: the byte to change.
    /// - Throws: an error of Foundation if the file cannot be read or written.
    package func damage(_ name: String, at offset: Int) throws {
        let url = URL(fileURLWithPath: appending(name))
        var data = try Data(contentsOf: url)
        data[offset] ^= 0x40
        try data.write(to: url)
    }
}
