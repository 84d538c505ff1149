internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import SystemPackage

/// The directory for damaged files (Formats/store-layout.md). Only a person removes files from it.
struct Quarantine {
    let fileSystem: any FileSystem
    let directories: StoreDirectories

    func prepare() throws(CheckpointError) {
        try translating("creating \(directories.quarantine)") {
            try fileSystem.makeDirectory(directories.quarantine)
            try fileSystem.syncDirectory(directories.root)
        }
    }

    /// Links a file into quarantine; the file keeps its own name too.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - name: the name in quarantine. If another file has it, a number is appended.
    /// - Returns: the name in quarantine.
    /// - Throws: code `io`.
    func keep(_ path: FilePath, as name: String) throws(CheckpointError) -> String {
        try translating("moving \(path) to quarantine") {
            for number in 0... {
                let place = number == 0 ? name : "\(name).\(number)"
                do throws(FileSystemError) {
                    try fileSystem.link(path, to: directories.quarantine.appending(place))
                    return place
                } catch {
                    guard error.errno == .fileExists else { throw error }
                    if try isSame(path, directories.quarantine.appending(place)) { return place }
                }
            }
            return name
        }
    }

    /// Returns true if both paths lead to the same file, which an interrupted repair has linked.
    private func isSame(_ path: FilePath, _ kept: FilePath) throws(FileSystemError) -> Bool {
        guard let one = try fileSystem.identity(of: path), let other = try fileSystem.identity(of: kept) else { return false }
        return one.isSame(as: other)
    }

    func sync() throws(CheckpointError) {
        try translating("syncing \(directories.quarantine)") { try fileSystem.syncDirectory(directories.quarantine) }
    }
}
