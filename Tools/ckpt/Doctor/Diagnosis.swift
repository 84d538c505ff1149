import CheckpointStorage
internal import CheckpointInterchange

/// The kind of a file or directory, its problems, and the commands to type.
struct Diagnosis {
    enum Kind: String, CaseIterable {
        case store, storeOfTheFuture, damagedStore, interruptedStore
        case distributed, deepSpeed, megatron, huggingFace, huggingFaceTrainer, lightning, orbax
        case safetensors, torchFile, numpy, pickle, hdf5, gguf, storeFile, standIn
        case bucket
        case collection, empty, missing, unreadable, unknownFile, unknownDirectory

        /// For `--json`.
        var name: String {
            switch self {
            case .store: "ckpt-store"
            case .storeOfTheFuture: "ckpt-store-future"
            case .damagedStore: "ckpt-store-damaged"
            case .interruptedStore: "ckpt-store-interrupted"
            case .distributed: "torch-dcp"
            case .deepSpeed: "deepspeed"
            case .megatron: "megatron"
            case .huggingFace: "hugging-face"
            case .huggingFaceTrainer: "hugging-face-trainer"
            case .lightning: "lightning"
            case .orbax: "orbax"
            case .safetensors: "safetensors"
            case .torchFile: "torch-file"
            case .numpy: "numpy"
            case .pickle: "pickle"
            case .hdf5: "hdf5"
            case .gguf: "gguf"
            case .storeFile: "ckpt-file"
            case .standIn: "stand-in"
            case .bucket: "bucket"
            case .collection: "collection"
            case .empty: "empty"
            case .missing: "missing"
            case .unreadable: "unreadable"
            case .unknownFile: "file"
            case .unknownDirectory: "directory"
            }
        }
    }

    var kind: Kind
    /// Its kind, in a sentence.
    var what: String
    /// Other facts about it.
    var facts: [String] = []
    /// Its problems.
    var problems: [String] = []
    /// What to do, in order; a command has its own line.
    var advice: [String] = []
    /// Its contents, one level down.
    var children: [Child] = []

    struct Child {
        var name: String
        var diagnosis: Diagnosis
    }

    init(_ kind: Kind, _ what: String, facts: [String] = [], problems: [String] = [], advice: [String] = []) {
        self.kind = kind
        self.what = what
        self.facts = facts
        self.problems = problems
        self.advice = advice
    }

    /// Adds what an import would leave out.
    mutating func add(leftOut: [String]) {
        guard !leftOut.isEmpty else { return }
        problems += leftOut
        advice.append("If these files belong to the checkpoint, name them in ckpt import.")
    }

    var isFine: Bool { problems.isEmpty && children.allSatisfy { $0.diagnosis.isFine } }
}

extension Diagnosis {
    var members: [JSONValue.Member] {
        [
            .init("kind", .string(kind.name)), .init("what", .string(what)), .init("facts", .strings(facts)),
            .init("problems", .strings(problems)), .init("advice", .strings(advice)),
        ]
    }
}

/// A path as an argument of a shell.
func quoted(_ path: String) -> String {
    let plain = path.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || "/._-+=@:".utf8.contains(byte)
    }
    return plain && !path.isEmpty ? path : "'" + path.replacing("'", with: "'\\''") + "'"
}
