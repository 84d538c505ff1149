import CheckpointStorage
internal import CheckpointInterchange
import SystemPackage

/// Recognizes checkpoints of other programs by their documented file names.
struct ForeignDiagnosis {
    let place: Surroundings
    private var path: String { quoted(place.path.string) }

    /// The first match; formats with more specific names come first.
    func run() -> Diagnosis? {
        orbax ?? megatron ?? deepSpeed ?? distributed ?? huggingFaceTrainer ?? huggingFace ?? lightning ?? unpacked
    }

    /// - Parameter step: the step in the path; nil: the import takes the step of the files.
    private func importAdvice(_ path: String, step: String? = nil) -> String {
        "ckpt import STORE \(quoted(path))" + (step.map { " --step \($0)" } ?? "")
    }

    /// Advises an import, or says why it would fail.
    private func adviseImport(of path: String, step: String? = nil, _ diagnosis: inout Diagnosis) {
        let problems = diagnosis.problems.count
        examine(path, &diagnosis)
        guard diagnosis.problems.count == problems else { return }
        diagnosis.advice.append(importAdvice(path, step: step))
    }

    // MARK: PyTorch

    /// torch.distributed.checkpoint: `.metadata`, written last, and `__RANK_N.distcp`.
    private var distributed: Diagnosis? {
        let parts = place.names(endingIn: ".distcp")
        guard !parts.isEmpty || place.has(".metadata") else { return nil }
        var diagnosis = Diagnosis(
            .distributed, "A distributed checkpoint of PyTorch (torch.distributed.checkpoint).",
            facts: ["It contains \(Output.count(parts.count, "file")) of tensors."])
        if !place.has(".metadata") {
            diagnosis.problems.append(
                "There is no .metadata, which is written last: the save was not finished, or the file was not copied.")
            diagnosis.advice.append("Use the checkpoint before this one: without .metadata, these tensors cannot be read.")
        } else if parts.isEmpty {
            diagnosis.problems.append("There is .metadata, but none of the .distcp files that it names.")
            diagnosis.advice.append("Copy the .distcp files from where the checkpoint was written.")
        } else {
            adviseImport(of: place.path.string, &diagnosis)
        }
        for name in parts where place.size(of: name) == 0 { diagnosis.problems.append("\(name) is empty: the save was interrupted.") }
        return diagnosis
    }

    /// An unpacked zip archive of `torch.save`.
    private var unpacked: Diagnosis? {
        guard place.has("data.pkl") else { return nil }
        var diagnosis = Diagnosis(.torchFile, "An unpacked file of torch.save.")
        adviseImport(of: place.path.string, &diagnosis)
        return diagnosis
    }

    /// DeepSpeed: `latest` names one of `global_stepN/`, with `mp_rank_XX_model_states.pt` and `*_optim_states.pt`.
    private var deepSpeed: Diagnosis? {
        let steps = place.names.filter { $0.hasPrefix("global_step") && Int($0.dropFirst(11)) != nil }
            .sorted { (Int($0.dropFirst(11)) ?? 0) < (Int($1.dropFirst(11)) ?? 0) }
        let states = place.names(endingIn: "_model_states.pt")
        let optimizer = place.names(endingIn: "_optim_states.pt")
        guard !steps.isEmpty || !states.isEmpty || !optimizer.isEmpty else { return nil }
        var diagnosis = Diagnosis(.deepSpeed, "Checkpoints of DeepSpeed.")
        guard let last = steps.last else {
            diagnosis.what = "One checkpoint of DeepSpeed."
            diagnosis.facts.append("\(Output.count(states.count, "file")) of model states, \(optimizer.count) of optimizer states.")
            if states.isEmpty { diagnosis.problems.append("There are no *_model_states.pt: the model is missing.") } else {
                adviseImport(of: place.path.string + "/" + states[0], &diagnosis)
            }
            if optimizer.isEmpty { diagnosis.problems.append("There are no *_optim_states.pt: training cannot be resumed exactly.") }
            return diagnosis
        }
        diagnosis.facts.append("\(Output.count(steps.count, "checkpoint")), the newest is \(last).")
        var wanted = last
        if let named = place.text("latest")?.trimmed {
            if named.isPlainName, place.isDirectory(named) { wanted = named } else {
                diagnosis.problems.append("The file latest names \(named), which does not exist: DeepSpeed cannot load a checkpoint.")
                diagnosis.advice.append("Write the name of a complete checkpoint, such as \(last), into \(path)/latest")
            }
        } else {
            diagnosis.problems.append("The file latest, which names the checkpoint to load, is missing: load_checkpoint needs a tag.")
        }
        if place.has("zero_to_fp32.py") {
            diagnosis.advice.append("cd \(path) && python zero_to_fp32.py . merged, then: \(importAdvice("merged"))")
        }
        if let inner = place.inside(wanted), let first = inner.names(endingIn: "_model_states.pt").first {
            let step = String(wanted.dropFirst(11).prefix { $0.isNumber })
            let file = place.path.string + "/" + wanted + "/" + first
            adviseImport(of: file, step: step.isEmpty ? nil : step, &diagnosis)
        } else {
            diagnosis.problems.append("\(wanted) has no *_model_states.pt: that save was interrupted.")
        }
        return diagnosis
    }

    /// Megatron: `latest_checkpointed_iteration.txt` names one of `iter_NNNNNNN/`.
    private var megatron: Diagnosis? {
        let tracker = "latest_checkpointed_iteration.txt"
        let steps = place.names.filter { $0.hasPrefix("iter_") && Int($0.dropFirst(5)) != nil }.sorted()
        let isInside = place.has("common.pt") && (place.has("metadata.json") || !place.names(endingIn: ".distcp").isEmpty)
        guard place.has(tracker) || !steps.isEmpty || isInside else { return nil }
        var diagnosis = Diagnosis(.megatron, isInside ? "One checkpoint of Megatron." : "Checkpoints of Megatron.")
        if isInside, steps.isEmpty {
            if place.has(".metadata") { adviseImport(of: place.path.string, &diagnosis) } else {
                diagnosis.problems.append("There is no .metadata, which is written last: the save was not finished.")
            }
            return diagnosis
        }
        diagnosis.facts.append("\(Output.count(steps.count, "checkpoint"))\(steps.last.map { ", the newest is \($0)" } ?? "").")
        guard let named = place.text(tracker)?.trimmed else {
            diagnosis.problems.append("\(tracker), which names the iteration to load, is missing.")
            return diagnosis
        }
        diagnosis.facts.append("\(tracker) contains \(named).")
        guard let number = Int(named) else {
            if named != "release" { diagnosis.problems.append("\(tracker) does not contain a number.") }
            return diagnosis
        }
        let digits = String(number)
        let directory = "iter_" + String(repeating: "0", count: max(7 - digits.count, 0)) + digits
        guard let inner = place.inside(directory) else {
            diagnosis.problems.append("\(tracker) names iteration \(named), but \(directory) does not exist.")
            if let last = steps.last {
                diagnosis.advice.append("Write the number of a complete checkpoint, such as that of \(last), into \(tracker).")
            }
            return diagnosis
        }
        let there = place.path.string + "/" + directory + (inner.has(".metadata") ? "" : "/mp_rank_00/model_optim_rng.pt")
        adviseImport(of: there, step: digits, &diagnosis)
        return diagnosis
    }

    // MARK: Hugging Face

    /// The trainer's `checkpoint-N/`: a model, `trainer_state.json`, `optimizer.pt`, `scheduler.pt`, `rng_state.pth`.
    private var huggingFaceTrainer: Diagnosis? {
        let steps = place.names.filter { $0.hasPrefix("checkpoint-") && Int($0.dropFirst(11)) != nil && place.isDirectory($0) }
            .sorted { (Int($0.dropFirst(11)) ?? 0) < (Int($1.dropFirst(11)) ?? 0) }
        if let last = steps.last, !place.has("trainer_state.json") {
            return Diagnosis(
                .huggingFaceTrainer, "Checkpoints of the Hugging Face Trainer.",
                facts: ["\(Output.count(steps.count, "checkpoint")), the newest is \(last)."],
                advice: ["ckpt doctor \(quoted(place.path.string + "/" + last))"])
        }
        guard place.has("trainer_state.json") else { return nil }
        var diagnosis = huggingFace ?? Diagnosis(.huggingFaceTrainer, "")
        diagnosis.kind = .huggingFaceTrainer
        diagnosis.what = "A checkpoint of the Hugging Face Trainer."
        if let name = place.path.lastComponent?.string, name.hasPrefix("checkpoint-"),
            let step = Int(name.dropFirst(11))
        {
            // The files of the weights do not contain the step.
            diagnosis.advice = diagnosis.advice.map {
                $0.hasPrefix("ckpt import STORE ") ? "\($0) --step \(step)" : $0
            }
        }
        let parts = [
            ("optimizer.pt", "the optimizer's state"), ("scheduler.pt", "the schedule"),
            ("rng_state.pth", "the random generators"),
        ]
        for (name, what) in parts where !place.has(name) && !(name == "rng_state.pth" && place.has("rng_state_0.pth")) {
            diagnosis.problems.append("There is no \(name): \(what) cannot be restored.")
        }
        return diagnosis
    }

    /// A model: `config.json` with safetensors or `pytorch_model.bin`, in one file or in shards with an index.
    private var huggingFace: Diagnosis? {
        let archives = place.names(endingIn: ".bin").filter { $0.hasPrefix("pytorch_model") }
        let weights = place.names(endingIn: ".safetensors") + archives
        let indices = place.names(endingIn: ".index.json")
        guard place.has("config.json") || place.has("adapter_config.json"), !weights.isEmpty || !indices.isEmpty else {
            return shardsAlone(weights, indices)
        }
        var diagnosis = Diagnosis(.huggingFace, "A model in the layout of Hugging Face.")
        diagnosis.facts.append("\(Output.count(weights.count, "file")) of weights\(indices.map { ", " + $0 }.joined()).")
        if !place.has("tokenizer.json"), !place.has("tokenizer_config.json") { diagnosis.facts.append("It has no tokenizer.") }
        finish(&diagnosis, weights, indices)
        return diagnosis
    }

    private func shardsAlone(_ weights: [String], _ indices: [String]) -> Diagnosis? {
        let safetensors = weights.filter { $0.hasSuffix(".safetensors") }
        guard !safetensors.isEmpty || !indices.isEmpty else { return nil }
        var diagnosis = Diagnosis(.safetensors, "A directory of safetensors files.", facts: ["\(Output.count(safetensors.count, "file"))."])
        finish(&diagnosis, weights, indices)
        return diagnosis
    }

    /// Checks that all shards that the index names exist.
    private func finish(_ diagnosis: inout Diagnosis, _ weights: [String], _ indices: [String]) {
        for index in indices {
            guard let text = place.text(index, atMost: Surroundings.textBytesMax), let shards = Self.shards(text) else {
                diagnosis.problems.append("\(index) cannot be read as an index of shards.")
                continue
            }
            let missing = shards.filter { !place.has($0) }
            if !missing.isEmpty {
                let some = missing.prefix(3).joined(separator: ", ") + (missing.count > 3 ? " and more" : "")
                diagnosis.problems.append(
                    "Missing: \(missing.count) of \(Output.count(shards.count, "shard")) "
                        + "that \(index) names: \(some).")
                diagnosis.advice.append("Download or copy the missing shards.")
            }
        }
        for name in weights where place.size(of: name) == 0 { diagnosis.problems.append("\(name) is empty.") }
        let pointer = Array("version https://git-lfs.".utf8)
        for name in weights.prefix(64) where place.beginning(of: name, pointer.count) == pointer {
            diagnosis.problems.append("\(name) is a Git LFS pointer, not weights.")
            diagnosis.advice.append("git lfs pull")
        }
        guard diagnosis.problems.isEmpty else { return }
        let target = indices.isEmpty && weights.count == 1 ? place.path.string + "/" + weights[0] : place.path.string
        adviseImport(of: target, &diagnosis)
    }

    /// Checks what an import checks.
    private func examine(_ path: String, _ diagnosis: inout Diagnosis) {
        let found = ForeignExamination(path)
        diagnosis.facts += found.notes
        diagnosis.add(leftOut: found.leftOut)
        guard let problem = found.problem else { return }
        diagnosis.problems.append("An import would fail: \(problem.sentence)")
        if let remedy = found.remedy { diagnosis.advice.append(remedy + ".") }
    }

    private static func shards(_ text: String) -> [String]? {
        // An index that does not parse is reported as the problem.
        guard case .object(let members)? = try? JSONParser.parse(Array(text.utf8)[...]),
            case .object(let map)? = members.first(where: { $0.key == "weight_map" })?.value
        else { return nil }
        let names = map.compactMap { member -> String? in if case .string(let name) = member.value { name } else { nil } }
        return Set(names).sorted()
    }

    // MARK: Lightning and Orbax

    /// Lightning: `epoch=E-step=S.ckpt` and `last.ckpt`, in `checkpoints/`, under `version_N/`.
    private var lightning: Diagnosis? {
        let files = place.names(endingIn: ".ckpt")
        guard files.isEmpty else {
            var diagnosis = Diagnosis(.lightning, "Checkpoints of Lightning.", facts: ["\(Output.count(files.count, "checkpoint"))."])
            for name in files.prefix(64) where !place.isDirectory(name) {
                if place.size(of: name) == 0 { diagnosis.problems.append("\(name) is empty: the save was interrupted.") }
            }
            let best = place.has("last.ckpt") ? "last.ckpt" : files[files.count - 1]
            let path = place.path.string + "/" + best
            if diagnosis.problems.isEmpty { adviseImport(of: path, &diagnosis) } else { diagnosis.advice.append(importAdvice(path)) }
            return diagnosis
        }
        let versions = place.names.filter { $0.hasPrefix("version_") && Int($0.dropFirst(8)) != nil && place.isDirectory($0) }
            .sorted { (Int($0.dropFirst(8)) ?? 0) < (Int($1.dropFirst(8)) ?? 0) }
        if place.has("hparams.yaml"), place.isDirectory("checkpoints") {
            return Diagnosis(.lightning, "A run of Lightning.", advice: ["ckpt doctor \(quoted(place.path.string + "/checkpoints"))"])
        }
        guard let last = versions.last, place.inside(last)?.has("hparams.yaml") == true else { return nil }
        return Diagnosis(
            .lightning, "Runs of Lightning.", facts: ["\(Output.count(versions.count, "run")), the newest is \(last)."],
            advice: ["ckpt doctor \(quoted(place.path.string + "/" + last + "/checkpoints"))"])
    }

    /// Orbax: a directory for each step, with `_CHECKPOINT_METADATA`; one in the making has `.orbax-checkpoint-tmp` in its name.
    private var orbax: Diagnosis? {
        let marks = ["_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt", "_sharding"].filter(place.has)
        let unfinished = place.names.filter { $0.contains(".orbax-checkpoint-tmp") }.sorted()
        let steps = place.names.filter { Int($0) != nil && place.isDirectory($0) }.sorted { (Int($0) ?? 0) < (Int($1) ?? 0) }
        let isParent = steps.last.flatMap { place.inside($0) }.map { $0.has("_CHECKPOINT_METADATA") || $0.has("default") } ?? false
        guard !marks.isEmpty || isParent || !unfinished.isEmpty else { return nil }
        var diagnosis = Diagnosis(.orbax, isParent ? "Checkpoints of Orbax." : "One checkpoint of Orbax.")
        if isParent { diagnosis.facts.append("\(Output.count(steps.count, "checkpoint")), the newest is \(steps.last ?? "").") }
        if place.path.lastComponent?.string.contains(".orbax-checkpoint-tmp") == true {
            diagnosis.problems.append("Its name is that of an unfinished save.")
        } else if !unfinished.isEmpty {
            let some = unfinished.prefix(3).joined(separator: ", ")
            diagnosis.problems.append("\(Output.count(unfinished.count, "save")) unfinished or interrupted: \(some).")
            diagnosis.advice.append("If no trainer is running, delete them.")
        }
        diagnosis.advice.append(
            "ckpt does not read arrays of TensorStore: load the checkpoint in Python, save it as safetensors, "
                + "and import that.")
        return diagnosis
    }
}

extension String {
    /// Ends with a full stop, unless it ends like a sentence already.
    var sentence: String { hasSuffix("?") || hasSuffix(".") ? self : self + "." }
    fileprivate var trimmed: String { split(whereSeparator: \.isWhitespace).joined(separator: " ") }
    /// True if it can only be the name of an entry of the directory.
    fileprivate var isPlainName: Bool { !isEmpty && self != "." && self != ".." && !contains("/") && !contains("\0") }
}
