import ArgumentParser

/// The name of a file or directory to write, from the command line.
enum OutputName {
    /// Suffixes of files that a person may expect, and that this program does not write.
    private static let foreignSuffixes: Set = [
        "pt", "pth", "bin", "npy", "npz", "h5", "hdf5", "ckpt", "gguf", "onnx", "msgpack", "pkl", "json", "keras",
        "safetensor", "tar", "zip",
    ]

    /// Refuses a place in a bucket, which would become a directory named `s3:`.
    static func checkIsHere(_ path: String) throws {
        guard path.contains("://") else { return }
        throw ValidationError(
            "\(path) is not on this machine: write to a file or directory here, and send that. "
                + "(ckpt copy and ckpt mirror write to buckets.)")
    }

    /// Refuses the name of a file of another format.
    ///
    /// - Parameters:
    ///   - path: what the person typed.
    ///   - verb: the verb, for the message.
    ///   - advice: what to write instead.
    static func check(_ path: String, _ verb: String, _ advice: String) throws {
        let name = path.split(separator: "/").last ?? ""
        guard let suffix = name.split(separator: ".").dropFirst().last.map(String.init),
            foreignSuffixes.contains(suffix.lowercased())
        else { return }
        throw ValidationError("\(verb) cannot write a .\(suffix) file. \(advice)")
    }
}
