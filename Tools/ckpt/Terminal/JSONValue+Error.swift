import CheckpointStorage

extension JSONValue {
    /// An error as `--json` prints it (Formats/cli-json.md).
    static func error(_ error: CheckpointError) -> JSONValue {
        .object([
            .init("code", .string(error.code.rawValue)), .init("message", .string(error.message)),
            .init("remedy", error.remedy.map { .string($0) } ?? .null),
            .init("path", error.path.map { .string($0) } ?? .null),
            .init("offset", error.offset.map { .count($0) } ?? .null),
        ])
    }
}
