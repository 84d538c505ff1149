import CheckpointStorage
internal import CheckpointInterchange
import SystemPackage

/// Recognizes a file by its first bytes, and makes the checks of an import for files to import.
struct FileDiagnosis {
    let path: FilePath
    /// False where there are many files: only the beginning is read then.
    var isThorough = true

    func run() throws(CheckpointError) -> Diagnosis {
        let file = try Surroundings.beginning(of: path, 16)
        var diagnosis = recognise(file.bytes, quoted(path.string))
        diagnosis.facts.append("Its size is \(Output.size(file.fileBytes)).")
        if file.fileBytes == 0 {
            diagnosis.problems.append("It is empty: the program that wrote it was interrupted.")
            diagnosis.advice.append("Copy or download it again, or use the previous checkpoint.")
        } else if isThorough, [.safetensors, .torchFile, .numpy, .unknownFile].contains(diagnosis.kind) {
            examine(&diagnosis)
        }
        return diagnosis
    }

    private func examine(_ diagnosis: inout Diagnosis) {
        let found = ForeignExamination(path.string)
        if let standIn = found.standIn {
            diagnosis.kind = .standIn
            diagnosis.what = "It is \(standIn)."
        } else if diagnosis.kind == .unknownFile, !isNamedAsWeights {
            return
        }
        diagnosis.facts += found.notes
        diagnosis.add(leftOut: found.leftOut)
        guard let problem = found.problem else { return }
        if found.standIn == nil { diagnosis.problems.append("An import would fail: \(problem.sentence)") } else {
            diagnosis.problems.append("It contains no weights.")
        }
        diagnosis.advice = found.remedy.map { [$0 + "."] } ?? []
    }

    /// True if its name is that of a file to import, whatever is in it.
    var isNamedAsWeights: Bool {
        ["safetensors", "pt", "pth", "ckpt", "npy", "npz"].contains(path.extension)
            || path.lastComponent?.string.hasPrefix("pytorch_model") == true
    }

    private func recognise(_ head: [UInt8], _ place: String) -> Diagnosis {
        let advice = ["ckpt import STORE \(place)"]
        func begins(_ magic: String) -> Bool { head.starts(with: Array(magic.utf8)) }
        if begins("CKPTMANI") || begins("CKPTSEGM") {
            let store = quoted(path.removingLastComponent().removingLastComponent().string)
            return Diagnosis(.storeFile, "A file of a ckpt store; the store is two directories up.", advice: ["ckpt doctor \(store)"])
        }
        if ForeignExamination.isIndex(path.lastComponent?.string ?? ""), head.first == UInt8(ascii: "{") {
            return Diagnosis(.safetensors, "An index of the files of a model.", advice: advice)
        }
        if head.starts(with: [0x93]), head.dropFirst().starts(with: Array("NUMPY".utf8)) {
            return Diagnosis(.numpy, "A NumPy array.", advice: advice)
        }
        if head.starts(with: [0x50, 0x4B, 3, 4]) {
            let isNumpy = path.extension == "npz"
            let what = isNumpy ? "NumPy arrays." : "A zip archive, the format of torch.save and of .ckpt files of Lightning."
            return Diagnosis(isNumpy ? .numpy : .torchFile, what, advice: advice)
        }
        if head.starts(with: [0x89]), head.dropFirst().starts(with: Array("HDF".utf8)) {
            return Diagnosis(
                .hdf5, "An HDF5 file, the format of Keras.",
                advice: ["ckpt does not read HDF5: save its arrays as safetensors or .npz."])
        }
        if begins("GGUF") {
            return Diagnosis(
                .gguf, "A GGUF file, the format of llama.cpp.",
                advice: ["ckpt does not read GGUF: import the model that the file was made from."])
        }
        if head.count > 8, head[8] == UInt8(ascii: "{") { return Diagnosis(.safetensors, "A safetensors file.", advice: advice) }
        if head.first == 0x80 {
            if head.starts(with: [0x80, 2, 0x8A, 10, 0x6C, 0xFC]) {
                return Diagnosis(.torchFile, "A file of torch.save in the format of PyTorch before 1.6.", advice: advice)
            }
            return Diagnosis(
                .pickle, "A bare pickle, which is not a file of torch.save.",
                advice: ["Load it only if you trust it, save its tensors with torch.save, and import that."])
        }
        return Diagnosis(.unknownFile, "A file of unrecognized format.")
    }
}
