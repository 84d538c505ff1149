import CheckpointFormat

extension ForeignCheckpoint {
    /// Keys under which training programs keep the number of updates, in the order in which they
    /// are believed.
    private static let stepNames = [
        "step", "global_step", "iteration", "trainer_state.global_step", "num_updates",
    ]

    /// The step that the files name; nil if they name none that a checkpoint can have.
    package var step: Int? {
        let entries = objects.first { $0.name == TorchReader.extraName }.map(\.value)
        if let entries, let step = Self.step(in: entries, Self.stepNames) { return step }
        let metadata = objects.first { $0.name == SafetensorsReader.metadataName }.map(\.value)
        return metadata.flatMap { Self.step(in: $0, ["ckpt.step"] + Self.stepNames) }
    }

    /// Returns the first of the named entries that is a step.
    private static func step(in value: JSONValue, _ names: [String]) -> Int? {
        for name in names {
            if let entry = entry(name, of: value), let step = step(entry) { return step }
        }
        return nil
    }

    /// Returns an entry. A distributed checkpoint joins the keys of its path with dots; other files
    /// nest them.
    private static func entry(_ name: String, of value: JSONValue) -> JSONValue? {
        guard case .object(let members) = value else { return nil }
        if let member = members.first(where: { $0.key == name }) { return member.value }
        guard let dot = name.firstIndex(of: "."),
            let member = members.first(where: { $0.key == name[..<dot] })
        else { return nil }
        return entry(String(name[name.index(after: dot)...]), of: member.value)
    }

    private static func step(_ value: JSONValue) -> Int? {
        let step: Int? =
            switch value {
            case .integer(let number): Int(number)
            case .string(let text): Int(text)
            default: nil
            }
        return step.flatMap { $0 >= 0 ? $0 : nil }
    }
}
