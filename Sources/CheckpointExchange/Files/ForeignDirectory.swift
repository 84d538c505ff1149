internal import CheckpointFormat
internal import SystemPackage

/// The names in a directory of weights, and which of them make one checkpoint. A decision over
/// names only.
package struct ForeignDirectory {
    private let path: FilePath
    private let names: [String]
    /// Names of weights that begin with a dot: companions that a Mac leaves on other file systems.
    let hidden: [String]

    /// Sorts names.
    ///
    /// - Parameters:
    ///   - path: the directory, for messages.
    ///   - names: all names in it, in order.
    init(_ path: FilePath, _ names: [String]) {
        self.path = path
        self.names = names.filter { !$0.hasPrefix(".") }
        hidden = names.filter { $0.hasPrefix(".") && (Self.isWeights($0) || Self.isIndex($0)) }
    }

    private static let torchExtensions = [".bin", ".pt", ".pth"]

    /// Returns whether a name is that of an index of shards, with or without the name of a
    /// precision: `model.safetensors.index.json`, `model.safetensors.index.bf16.json`.
    package static func isIndex(_ name: String) -> Bool {
        name.hasSuffix(".json")
            && (name.hasSuffix(".index.json") || name.contains(".safetensors.index.")
                || name.contains(".bin.index."))
    }

    private static func isWeights(_ name: String) -> Bool {
        name.hasSuffix(".safetensors") || torchExtensions.contains { name.hasSuffix($0) }
    }

    /// Returns the index of shards.
    ///
    /// - Returns: nil if there is none.
    /// - Throws: `ExchangeError` if there are several.
    func index() throws(ExchangeError) -> String? {
        let indices = names.filter(Self.isIndex)
        // Of two formats of the same weights, safetensors is read.
        let safetensors = indices.filter { $0.contains(".safetensors.") }
        let usable = safetensors.isEmpty ? indices : safetensors
        guard usable.count > 1 else { return usable.first }
        throw .refused(
            path.string,
            "it has \(usable.count) indices of shards: \(usable.prefix(8).joined(separator: ", "))",
            remedy: "Import one of them: ckpt import STORE \(path.appending(usable[0]))")
    }

    /// Returns the files of weights of the same format as an index names.
    ///
    /// - Parameter index: name of the index.
    func weights(like index: String) -> [String] {
        names.filter {
            index.contains(".safetensors.") ? $0.hasSuffix(".safetensors") : $0.hasSuffix(".bin")
        }
    }

    /// Checks that the names of weights are valid UTF-8. A name that is not has lost bytes here, and
    /// cannot be opened.
    ///
    /// - Throws: `ExchangeError` with the first name that is not valid.
    private func checkNames() throws(ExchangeError) {
        guard let name = names.first(where: { Self.isWeights($0) && $0.contains("\u{FFFD}") }) else {
            return
        }
        throw .refused(
            path.string, "the file name \(quoted(name)) is not valid UTF-8",
            remedy: "Rename the file, or make a link to it with another name")
    }

    /// Returns the files that make a checkpoint where there is no index: all safetensors files, or
    /// the only file of PyTorch.
    ///
    /// - Returns: at least one name.
    /// - Throws: `ExchangeError` if there is no such file, or there are several of PyTorch.
    func files() throws(ExchangeError) -> [String] {
        try checkNames()
        let safetensors = names.filter { $0.hasSuffix(".safetensors") }
        guard safetensors.count <= ExchangeLimits.filesMax else {
            throw .refused(
                path.string,
                "it contains \(safetensors.count) safetensors files, "
                    + "more than \(ExchangeLimits.filesMax)")
        }
        if !safetensors.isEmpty { return safetensors }
        let torch = names.filter { name in Self.torchExtensions.contains { name.hasSuffix($0) } }
        if torch.count == 1 { return torch }
        guard let first = torch.first else {
            if names.contains("data.pkl") {
                throw .refused(
                    path.string, "it is an unpacked file of torch.save",
                    remedy:
                        "Zip it from its parent directory: zip -0 -r model.pth \(path.lastComponent?.string ?? "archive")/"
                )
            }
            if names.contains("store.json"), names.contains("manifests") {
                throw .refused(
                    path.string, "it is a store",
                    remedy: "Copy its checkpoints: ckpt copy \(path) STORE")
            }
            throw .refused(
                path.string,
                "it contains neither .metadata, nor an index of shards, nor safetensors files",
                remedy: "Name the files to import; ckpt doctor \(path) describes them")
        }
        throw .refused(
            path.string,
            "it contains \(torch.count) PyTorch files and no index of shards: "
                + torch.prefix(8).joined(separator: ", "),
            remedy: "Name the files to import: ckpt import STORE \(path.appending(first)) ...")
    }
}
