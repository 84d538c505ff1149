import ArgumentParser
import CheckpointInterchange
import Checkpointing

struct Cat: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "cat", abstract: "Writes one tensor or object to standard output.",
        usage: "ckpt cat STORE REF NAME [options]",
        discussion: """
            Example: ckpt cat runs/first latest model.embedding.weight > weight.npy
            Example: ckpt cat runs/first 1000 scheduler

            An object is written as it was saved: JSON as text, other encodings as bytes. A tensor is written as a NumPy file \
            (.npy), or with --format raw as little-endian, row-major elements. Every byte is checked against its hash before it \
            is written.
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case npy, raw }

    @OptionGroup var common: CommonArguments

    @Argument(
        help: ArgumentHelp(
            "The checkpoint: latest, a step, a tag, ...; see ckpt --help.", valueName: "ref"))
    var reference: CheckpointReference

    @Argument(help: ArgumentHelp("Full name of the tensor or object.", valueName: "name"))
    var name: String

    @Option(help: "Format of a tensor: npy or raw.")
    var format = Format.npy

    func execute() throws -> ExitCode {
        let checkpoint = try common.open().checkpoint(reference)
        for error in checkpoint.skipped { Output.warn("skipped a damaged checkpoint: \(error)") }
        if let tensor = checkpoint.tensor(name) {
            try write(tensor, of: checkpoint)
        } else {
            guard checkpoint.object(name) != nil else { throw notFound(in: checkpoint) }
            try write(object: name, of: checkpoint)
        }
        return .fine
    }

    private func write(_ tensor: TensorInfo, of checkpoint: Checkpoint) throws {
        if common.json {
            let record = try checkpoint.manifest.tensors(matching: []).first {
                $0.record.name == tensor.name
            }?.record
            let digest = try checkpoint.digest(ofTensor: tensor.name)
            if let record { Output.json(record.description(tensor.storage, digest)) }
            return
        }
        try refuseTerminal("a tensor")
        if format == .npy { try Output.write(checkpoint.numpyHeader(ofTensor: tensor.name)) }
        try checkpoint.withBytes(ofTensor: tensor.name) { bytes throws(CheckpointError) in
            try Output.write(bytes)
        }
    }

    private func write(object name: String, of checkpoint: Checkpoint) throws {
        let bytes = try checkpoint.bytes(ofObject: name)
        let isText = checkpoint.object(name)?.encoding == .json
        if common.json, let record = checkpoint.manifest.objects.first(where: { $0.name == name }) {
            let reader = ContentReader(store: checkpoint.store, manifest: checkpoint.manifest)
            return Output.json(try ObjectContent(record, reader).description(withDigest: true))
        }
        // Control characters are not written to a terminal.
        guard isText || !Terminal.showsOutput else {
            return try refuseTerminal("a binary object")
        }
        if isText, Terminal.showsOutput {
            Output.line(String(decoding: bytes, as: UTF8.self))
        } else {
            try Output.write(isText ? bytes + [10] : bytes)
        }
    }

    private func notFound(in checkpoint: Checkpoint) -> CheckpointError {
        let near = Nearest.byDistance(
            name, checkpoint.tensors.map(\.name) + checkpoint.objects.map(\.name))
        return CheckpointError(
            .notFound, "step \(checkpoint.summary.step) has no tensor or object named \(name)",
            remedy: near.isEmpty ? nil : "Nearest names: \(near.joined(separator: ", "))",
            names: [name])
    }

    private func refuseTerminal(_ what: String) throws {
        guard Terminal.showsOutput else { return }
        throw CheckpointError(
            .misuse, "\(what) is not text, and is not written to a terminal",
            remedy: "Redirect it to a file: ckpt cat ... > FILE")
    }
}
