internal import CheckpointFormat
package import CheckpointIO
package import SystemPackage

/// A file, or a directory of files, that appears under its name whole and durable, or not at all: it is made under another name
/// beside it, and renamed.
package final class AtomicOutput {
    /// What is there may be replaced: a file, or a directory that holds nothing but files of these names.
    package struct Replacement: Sendable {
        package var isOurs: @Sendable (_ fileName: String) -> Bool
        package init(_ isOurs: @escaping @Sendable (_ fileName: String) -> Bool) { self.isOurs = isOurs }
    }

    private let path: FilePath
    private let temporary: FilePath
    private let isDirectory: Bool
    private let replacement: Replacement?
    private let files: POSIXFileSystem
    private var outputs: [OutputFile] = []
    private var isOver = false

    /// - Parameters:
    ///   - replacement: nil if nothing may be there.
    ///   - announce: told, before anything is made, what it is called until it is complete.
    package init(
        _ path: FilePath, isDirectory: Bool, replacement: Replacement?, in files: POSIXFileSystem, announce: (String) -> Void = { _ in }
    ) throws(ExchangeError) {
        self.path = path
        self.isDirectory = isDirectory
        self.replacement = replacement
        self.files = files
        temporary = path.removingLastComponent().appending(".ckpt-\(CheckpointID.random())")
        guard path.lastComponent?.kind == .regular else {
            throw .inUse(path.string, "it is no name for a file", remedy: "Name another with -o")
        }
        try checkPlace()
        announce(temporary.string)
        if isDirectory { try exchanging { () throws(FileSystemError) in try files.makeDirectory(temporary) } }
    }

    deinit { abandon() }

    /// Nothing that a person may want is written over.
    private func checkPlace() throws(ExchangeError) {
        // What a link leads to is somebody else's affair, also where it leads nowhere.
        guard try exchanging({ () throws(FileSystemError) in try !files.isLink(path) }) else {
            throw .inUse(path.string, "it is a link", remedy: "Name another place with -o, or what it leads to")
        }
        let kind = try exchanging { () throws(FileSystemError) in try files.kind(of: path) }
        guard let kind else { return }
        guard let replacement else { throw .inUse(path.string, "it exists", remedy: "Name another with -o") }
        guard kind == (isDirectory ? .directory : .file) else {
            throw .inUse(path.string, "it is no \(isDirectory ? "directory" : "file")", remedy: "Name another with -o")
        }
        guard isDirectory else { return }
        let names = try exchanging { () throws(FileSystemError) in try files.list(path) }
        for name in names.sorted() where try !isOurs(name, replacement) {
            throw .inUse(path.string, "it holds \(quoted(name)), which is no file of an export", remedy: "Name another directory")
        }
    }

    private func isOurs(_ name: String, _ replacement: Replacement) throws(ExchangeError) -> Bool {
        let entry = path.appending(name)
        guard replacement.isOurs(name) else { return false }
        return try exchanging { () throws(FileSystemError) in try files.isLink(entry) ? false : files.kind(of: entry) == .file }
    }

    /// Makes a file in the directory; the file itself, if this is no directory.
    package func create(_ name: String) throws(ExchangeError) -> OutputFile {
        precondition(isPlainFileName(name) && (isDirectory || outputs.isEmpty))
        let path = isDirectory ? temporary.appending(name) : temporary
        let file = try exchanging { () throws(FileSystemError) in try files.create(path) }
        let output = OutputFile(path, file)
        outputs.append(output)
        return output
    }

    /// Makes everything durable, then gives it its name.
    package func publish() throws(ExchangeError) {
        for output in outputs {
            try output.sync()
            output.close()
        }
        if isDirectory { try exchanging { () throws(FileSystemError) in try files.syncDirectory(temporary) } }
        try checkPlace()
        try exchanging { () throws(FileSystemError) in
            try rename()
            let parent = path.removingLastComponent()
            try files.syncDirectory(parent.isEmpty ? "." : parent)
        }
        isOver = true
    }

    private func rename() throws(FileSystemError) {
        guard isDirectory else {
            if replacement != nil { return try files.rename(temporary, to: path) }
            // Fails if somebody else has made one meanwhile.
            try files.link(temporary, to: path)
            return try files.remove(temporary)
        }
        guard try files.kind(of: path) != nil else { return try files.rename(temporary, to: path) }
        let old = FilePath(temporary.string + "-old")
        try files.rename(path, to: old)
        do throws(FileSystemError) { try files.rename(temporary, to: path) } catch {
            // If that fails too, the old directory is there under its other name.
            try? files.rename(old, to: path)
            throw error
        }
        for name in try files.list(old) { try files.remove(old.appending(name)) }
        try files.removeDirectory(old)
    }

    /// Takes back what was written, as far as possible: the error that led here is the one to tell of.
    package func abandon() {
        guard !isOver else { return }
        isOver = true
        for output in outputs {
            output.close()
            // As said above.
            try? files.remove(output.path)
        }
        // As said above.
        if isDirectory { try? files.removeDirectory(temporary) }
    }
}
