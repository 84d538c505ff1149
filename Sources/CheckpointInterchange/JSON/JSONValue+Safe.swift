package import CheckpointFormat

extension JSONValue {
    /// One line of JSON in which no character can move a terminal's cursor.
    package var safeText: String {
        SafeText.escape(String(decoding: text, as: UTF8.self)) { scalar in
            String(scalar).utf16.map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
        }
    }

    package static func strings(_ strings: [String]) -> JSONValue {
        .array(strings.map { .string($0) })
    }

    package static func metrics(_ metrics: [(String, Double)]) -> JSONValue {
        .object(metrics.map { Member($0.0, .metric($0.1)) })
    }

    /// The members that identify a checkpoint.
    package static func label(_ id: CheckpointID, _ run: RunID, _ step: Int) -> JSONValue {
        .object([.init("id", .hex(id)), .init("run", .hex(run)), .init("step", .count(step))])
    }

    /// The object with more members.
    package func adding(_ members: [Member]) -> JSONValue {
        guard case .object(let own) = self else { return self }
        return .object(own + members)
    }
}
