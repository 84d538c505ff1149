internal import CheckpointFormat
internal import SystemPackage

/// Files that are often found in place of weights, and cannot be imported, by how they begin.
package enum KnownFile {
    /// Explanation of such a file, and the remedy.
    package struct Finding: Sendable, Equatable {
        /// A noun phrase with its article.
        package let what: String
        /// An imperative sentence.
        package let remedy: String
        /// True if the weights are elsewhere, so that this is not the file that was meant.
        package let isStandIn: Bool
    }

    /// Number of bytes that `recognise` needs.
    package static let beginningBytes = 264

    /// Recognises a file.
    ///
    /// - Parameter beginning: the first bytes of the file; fewer only if it has fewer.
    /// - Returns: nil if the file is not recognised.
    package static func recognise(_ beginning: [UInt8]) -> Finding? {
        if beginning.isEmpty {
            return Finding(
                what: "an empty file, too short for any format",
                remedy: "Copy or download it again", isStandIn: true)
        }
        for (magic, what, remedy, isStandIn) in table where beginning.starts(with: magic) {
            return Finding(what: what, remedy: remedy, isStandIn: isStandIn)
        }
        let text = beginning.drop { [0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains($0) }
        let start = String(decoding: text.prefix(15), as: UTF8.self).lowercased()
        if ["<!doctype", "<html", "<head", "<?xml"].contains(where: { start.hasPrefix($0) }) {
            return Finding(
                what: "a web page, which a server sent instead of the file",
                remedy: "Download the file again: use its direct address, or log in first",
                isStandIn: true)
        }
        if beginning.count > 262, beginning[257..<262].isTarMagic {
            return Finding(
                what: "a tar archive", remedy: "Unpack it with tar -xf, and import its files",
                isStandIn: true)
        }
        return nil
    }

    /// Returns how a text begins, where weights were expected: a server's answer, for example.
    ///
    /// - Parameter beginning: the first bytes of the file.
    /// - Returns: at most 60 characters of the first line; nil if the file is not text.
    static func text(_ beginning: [UInt8]) -> String? {
        let start = beginning.prefix(8)
        let isText = start.allSatisfy { (0x20...0x7E).contains($0) || (9...13).contains($0) }
        guard start.count == 8, isText, !beginning.contains(where: { $0 < 9 }) else { return nil }
        let lines = String(decoding: beginning, as: UTF8.self).split(whereSeparator: \.isNewline)
        return lines.first.map { String($0.prefix(60)) }
    }

    private static let table: [(magic: [UInt8], what: String, remedy: String, isStandIn: Bool)] = [
        (
            Array("version https://git-lfs".utf8), "a Git LFS pointer, not the weights",
            "Run git lfs pull", true
        ),
        ([0x1F, 0x8B], "a gzip file", "Unpack it with gunzip, and import the result", true),
        (
            [0x28, 0xB5, 0x2F, 0xFD], "a zstd file",
            "Unpack it with unzstd, and import the result", true
        ),
        (
            Array("BZh".utf8), "a bzip2 file", "Unpack it with bunzip2, and import the result",
            true
        ),
        (
            [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "an xz file",
            "Unpack it with unxz, and import the result", true
        ),
        (
            [0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "a 7z archive",
            "Unpack it, and import its files", true
        ),
        (
            Array("GGUF".utf8), "a GGUF file, the format of llama.cpp",
            "Import the model that the file was made from", false
        ),
        (
            [0x89] + Array("HDF".utf8), "an HDF5 file, the format of Keras",
            "Save its arrays as safetensors or .npz, and import that file", false
        ),
    ]

    /// Returns the error for a zip archive that holds neither a file of `torch.save` nor numpy
    /// files.
    ///
    /// - Parameter archive: the archive.
    static func error(ofZip archive: ZipArchive) -> ExchangeError {
        let (path, names) = (archive.file.path.string, archive.entries.map(\.name))
        func has(_ name: String) -> Bool {
            names.contains { $0 == name || $0.hasSuffix("/" + name) }
        }
        if has("_stable_baselines3_version") {
            return .refused(
                path, "it is a zip archive of Stable-Baselines3",
                remedy: "Unpack it with unzip, and import policy.pth, which contains the weights")
        }
        if has("model.weights.h5") {
            return .refused(
                path, "it is a Keras model: its weights are HDF5, in entry model.weights.h5",
                remedy:
                    "Load it in Keras, save its arrays as safetensors or .npz, and import that file"
            )
        }
        if let root = names.first(where: {
            $0 == "data.pkl" || $0.hasSuffix("/data.pkl") && !$0.hasPrefix("__MACOSX/")
        }) {
            return .refused(
                path,
                "it is a file of torch.save that was unpacked and zipped again: \(quoted(root)) must be in one "
                    + "folder, such as archive/",
                remedy: "Zip that folder from its parent directory: zip -0 -r model.pth archive/")
        }
        let weights = names.filter { name in
            [".pth", ".pt", ".bin", ".safetensors", ".ckpt"].contains { name.hasSuffix($0) }
        }
        if let first = weights.first {
            return .refused(
                path, "it is a zip archive that contains \(quoted(first))",
                remedy: "Unpack it with unzip, and import that file")
        }
        let first = names.first.map { "; its first entry is \(quoted($0))" } ?? ""
        return .refused(
            path, "it is a zip archive without a .npy array or a file of torch.save" + first,
            remedy: "Unpack it, and import its files of weights")
    }
}

extension ArraySlice<UInt8> {
    fileprivate var isTarMagic: Bool { elementsEqual("ustar".utf8) }
}
