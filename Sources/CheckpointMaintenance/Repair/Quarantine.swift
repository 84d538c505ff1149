internal import CheckpointStorage
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// The directory that damaged files are put aside into (Formats/store-layout.md). Only a person removes anything from it.
struct Quarantine {
    let fileSystem: any FileSystem
    let directories: StoreDirectories

    func prepare() throws(CheckpointError) {
        try translating("making \(directories.quarantine)") {
            try fileSystem.makeDirectory(directories.quarantine)
            try fileSystem.syncDirectory(directories.root)
        }
    }

    /// Gives a file a name in quarantine besides its own: `name`, or with a number if another file has that.
    /// - Returns: the name.
    func keep(_ path: FilePath, as name: String) throws(CheckpointError) -> String {
        try translating("putting \(path) aside") {
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

    /// Whether an interrupted repair has put this very file there.
    private func isSame(_ path: FilePath, _ kept: FilePath) throws(FileSystemError) -> Bool {
        guard let one = try fileSystem.identity(of: path), let other = try fileSystem.identity(of: kept) else { return false }
        return one.isSame(as: other)
    }

    func sync() throws(CheckpointError) {
        try translating("syncing \(directories.quarantine)") { try fileSystem.syncDirectory(directories.quarantine) }
    }
}
