internal import CheckpointFormat
package import CheckpointIO
package import SystemPackage

/// A file, or a directory of files, that appears under its name complete and durable, or not at
/// all: it is created under a temporary name in the same directory, and renamed. The next
/// output in the directory removes files that a killed process left under such names.
package final class AtomicOutput {
    /// Permission to replace the existing file, or an existing directory that holds only files with
    /// accepted names.
    package struct Replacement: Sendable {
        package var isOurs: @Sendable (_ fileName: String) -> Bool
        /// Permits a replacement.
        ///
        /// - Parameter isOurs: returns whether a file of this name in the existing directory may be
        ///   removed.
        package init(_ isOurs: @escaping @Sendable (_ fileName: String) -> Bool) {
            self.isOurs = isOurs
        }
    }

    private let path: FilePath
    private let temporary: FilePath
    private let isDirectory: Bool
    private let replacement: Replacement?
    private let files: POSIXFileSystem
    private var outputs: [OutputFile] = []
    /// Shows other processes that the temporary name is in use.
    private var claim: FileClaim?
    private var isOver = false

    /// Creates the output under a temporary name.
    ///
    /// - Parameters:
    ///   - path: the final path.
    ///   - isDirectory: whether a directory is to be written.
    ///   - replacement: permission to replace the existing output; nil if `path` must not exist.
    ///   - files: the file system.
    /// - Throws: `ExchangeError` of kind `inUse` if the path is taken or not suitable, or of kind
    ///   `file`.
    package init(
        _ path: FilePath, isDirectory: Bool, replacement: Replacement?, in files: POSIXFileSystem
    ) throws(ExchangeError) {
        self.path = path
        self.isDirectory = isDirectory
        self.replacement = replacement
        self.files = files
        temporary = path.removingLastComponent().appending(TemporaryName.random())
        guard path.lastComponent?.kind == .regular else {
            throw .inUse(
                path.string, "is not a valid file name", remedy: "Choose another path with -o")
        }
        try checkPlace()
        // While this claim is held, no other output looks for leftovers, so none removes this one.
        let place = files.claim(parent, within: 1)
        if place != nil { TemporaryName.removeLeavings(in: parent, files) }
        if isDirectory {
            try exchanging { () throws(FileSystemError) in try files.makeDirectory(temporary) }
        } else {
            let file = try exchanging { () throws(FileSystemError) in try files.create(temporary) }
            outputs.append(OutputFile(temporary, file))
        }
        claim = files.claim(temporary)
        withExtendedLifetime(place) {}
    }

    deinit { abandon() }

    private var parent: FilePath {
        let parent = path.removingLastComponent()
        return parent.isEmpty ? "." : parent
    }

    /// Checks that publishing would not overwrite anything that the user may want to keep.
    private func checkPlace() throws(ExchangeError) {
        // The target of a link belongs to someone else, even if the link dangles.
        guard try exchanging({ () throws(FileSystemError) in try !files.isLink(path) }) else {
            throw .inUse(
                path.string, "is a symbolic link",
                remedy: "Choose another path with -o, or the target of the link")
        }
        let kind = try exchanging { () throws(FileSystemError) in try files.kind(of: path) }
        guard let kind else { return try checkParent() }
        guard let replacement else {
            // Of a directory only the files of an export are replaced.
            let isReplaced = !isDirectory && kind == .file
            throw .inUse(
                path.string, "already exists",
                remedy: isReplaced
                    ? "Use --force to replace it, or choose another path with -o"
                    : "Choose another path with -o")
        }
        guard kind == (isDirectory ? .directory : .file) else {
            throw .inUse(
                path.string, "is not a \(isDirectory ? "directory" : "file")",
                remedy: "Choose another path with -o")
        }
        guard isDirectory else { return }
        let names = try exchanging { () throws(FileSystemError) in try files.list(path) }
        for name in names.sorted() where try !isOurs(name, replacement) {
            throw .inUse(
                path.string, "contains \(quoted(name)), which is not an exported file",
                remedy: "Choose another directory")
        }
    }

    private func checkParent() throws(ExchangeError) {
        let kind = try exchanging { () throws(FileSystemError) in try files.kind(of: parent) }
        guard kind != .directory else { return }
        throw .inUse(
            path.string, "cannot be created: the directory \(parent) does not exist",
            remedy: "Create it, or choose another path with -o")
    }

    private func isOurs(_ name: String, _ replacement: Replacement) throws(ExchangeError) -> Bool {
        let entry = path.appending(name)
        guard replacement.isOurs(name) else { return false }
        return try exchanging { () throws(FileSystemError) in
            try files.isLink(entry) ? false : files.kind(of: entry) == .file
        }
    }

    /// Creates a file in the directory, or returns the output file itself if this is not a
    /// directory.
    ///
    /// - Parameter name: plain file name; ignored if this is not a directory.
    /// - Returns: the empty file.
    /// - Throws: `ExchangeError` if the file cannot be created.
    package func create(_ name: String) throws(ExchangeError) -> OutputFile {
        guard isDirectory else { return outputs[0] }
        precondition(isPlainFileName(name))
        let path = temporary.appending(name)
        let file = try exchanging { () throws(FileSystemError) in try files.create(path) }
        let output = OutputFile(path, file)
        outputs.append(output)
        return output
    }

    /// Makes all files durable, then renames the output to its final path and syncs the parent
    /// directory.
    ///
    /// - Throws: `ExchangeError`; the output may then still have its temporary name.
    package func publish() throws(ExchangeError) {
        for output in outputs {
            try output.sync()
            output.close()
        }
        if isDirectory {
            try exchanging { () throws(FileSystemError) in try files.syncDirectory(temporary) }
        }
        try checkPlace()
        try exchanging { () throws(FileSystemError) in
            let old = try rename()
            // What has the temporary name now is not this output's.
            isOver = true
            try files.syncDirectory(parent)
            // Only now: after a power failure, the name may lead to the old directory again.
            if let old { TemporaryName.remove(old, files) }
        }
    }

    /// Renames the output to its final path.
    ///
    /// - Returns: the path of the directory that it has replaced; nil if there is none.
    private func rename() throws(FileSystemError) -> FilePath? {
        guard isDirectory else {
            // Without a replacement, fails if another process has created the file now.
            if replacement != nil { try files.rename(temporary, to: path) } else {
                try files.renameToNew(temporary, to: path)
            }
            return nil
        }
        guard try files.kind(of: path) != nil else {
            try files.rename(temporary, to: path)
            return nil
        }
        if try files.exchange(temporary, with: path) { return temporary }
        // Not a temporary name, which the next output removes: it may be the only export there is.
        let old = FilePath(temporary.string + "-old")
        try files.rename(path, to: old)
        do throws(FileSystemError) { try files.rename(temporary, to: path) } catch {
            // If this fails too, the old directory remains under its temporary name.
            try? files.rename(old, to: path)
            throw error
        }
        return old
    }

    /// Removes the files written so far, if possible. Errors are ignored, because the error that
    /// led here is the one to report. Does nothing after `publish`.
    package func abandon() {
        guard !isOver else { return }
        isOver = true
        for output in outputs {
            output.close()
            // Ignored: an earlier error is reported.
            try? files.remove(output.path)
        }
        // Ignored: an earlier error is reported.
        if isDirectory { try? files.removeDirectory(temporary) }
    }
}
