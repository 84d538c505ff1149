import CheckpointFormat

extension ForeignCheckpoint {
    /// Keys under which training programs keep the number of updates, in the order in which they
    /// are believed.
    private static let stepNames = [
        "step", "global_step", "iteration", "trainer_state.global_step", "num_updates",
    ]

    /// The step that the files name; nil if they name none that a checkpoint can have.
    package var step: Int? {
        for name in Self.stepNames {
            if let object = objects.first(where: { $0.name == name }),
                let step = Self.step(object.value)
            {
                return step
            }
        }
        let metadata = objects.first { $0.name == SafetensorsReader.metadataName }
        guard case .object(let members)? = metadata?.value else { return nil }
        for name in ["ckpt.step"] + Self.stepNames {
            if let member = members.first(where: { $0.key == name }), let step = Self.step(member.value) {
                return step
            }
        }
        return nil
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
