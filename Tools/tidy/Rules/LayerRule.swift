/// What one target may import, and why no more.
public struct Layer: Sendable {
    /// The target's name, which is its folder in Sources.
    public let target: String
    /// The modules that it may import.
    public let imports: Set<String>
    /// Why it may import no other.
    public let reason: String
}

/// The layers: the one table of what may depend on what.
public let layers: [Layer] = [
    Layer(
        target: "CheckpointFormat", imports: ["Synchronization"],
        reason: "the format is a pure function of bytes, and does no I/O"),
    Layer(
        target: "CheckpointCodecs", imports: ["CheckpointFormat", "CKernels", "CLZ4", "CZstd", "Glibc"],
        reason: "codecs turn bytes into bytes, and know no files"),
    Layer(
        target: "CheckpointIO", imports: ["SystemPackage", "Synchronization", "Glibc", "CPlatform"],
        reason: "I/O moves bytes, and must not know what they mean"),
    Layer(
        target: "CheckpointState",
        imports: ["CheckpointFormat", "CheckpointCodecs", "Synchronization", "Foundation", "Glibc"],
        reason: "state is captured in memory, and does not reach the disk"),
    Layer(
        target: "CheckpointSegments", imports: ["CheckpointFormat", "CheckpointIO", "CheckpointCodecs", "SystemPackage"],
        reason: "segments join format, codecs and I/O, and know neither trainer nor catalog"),
    Layer(
        target: "CheckpointCatalog", imports: ["CheckpointFormat", "CheckpointCodecs", "GRDB", "SystemPackage", "Foundation"],
        reason: "only the catalog knows SQLite, and it knows manifests but no segments"),
    Layer(
        target: "CheckpointDevices", imports: ["CheckpointState", "CheckpointIO", "CheckpointCodecs", "Glibc"],
        reason: "a device copies bytes, and knows neither engine nor store"),
    Layer(
        target: "CheckpointExchange",
        imports: ["CheckpointFormat", "CheckpointIO", "CheckpointState", "CZlib", "SystemPackage"],
        reason: "foreign formats are read and written without an engine"),
    Layer(
        target: "CheckpointGuard", imports: ["CGuard", "CPlatform", "CheckpointIO", "Glibc"],
        reason: "guards watch memory, and know neither state nor files"),
    Layer(
        target: "CheckpointStorage",
        imports: [
            "CheckpointFormat", "CheckpointCodecs", "CheckpointIO", "CheckpointState",
            "CheckpointSegments", "CheckpointCatalog", "SystemPackage", "Foundation",
        ],
        reason: "a store is opened, read and restored without an engine"),
    Layer(
        target: "CheckpointMaintenance",
        imports: [
            "CheckpointStorage", "CheckpointFormat", "CheckpointCodecs", "CheckpointIO",
            "CheckpointState", "CheckpointSegments", "SystemPackage", "Foundation",
        ],
        reason: "maintenance works on stores, and must not know the engine that fills them"),
    Layer(
        target: "Checkpointing",
        imports: [
            "CheckpointStorage", "CheckpointFormat", "CheckpointCodecs", "CheckpointIO",
            "CheckpointState", "CheckpointSegments", "CheckpointGuard", "SystemPackage",
            "Foundation", "Logging", "CoreMetrics",
        ],
        reason: "the engine sees C, SQLite and the platform only through the layers below it"),
    Layer(
        target: "CheckpointInterchange",
        imports: [
            "Checkpointing", "CheckpointStorage", "CheckpointExchange", "CheckpointFormat",
            "CheckpointCodecs", "CheckpointIO", "CheckpointSegments", "CheckpointState",
            "SystemPackage", "Foundation", "Logging",
        ],
        reason: "import and export stand on a store, an engine and the foreign formats"),
]

/// The targets in Sources that are C, or somebody else's code; Swift in them is not judged by the table.
private let foreignTargets: Set<String> = ["CKernels", "CLZ4", "CZstd", "CZlib", "CPlatform", "CGuard"]

/// Rule: a target imports only what its layer may.
public func checkImports(_ path: String, _ lines: Lines) -> [Violation] {
    let parts = path.split(separator: "/")
    guard isSwift(path, in: ["Sources/"]), parts.count >= 3 else { return [] }
    let target = String(parts[1])
    guard !foreignTargets.contains(target) else { return [] }
    guard let layer = layers.first(where: { $0.target == target }) else {
        let message = "layer rule: target \(target) is not in the table of layers; give it a row"
        return [Violation(path: path, line: 1, rule: "import", message: message)]
    }
    return lines.code.indices.compactMap { index in
        guard let module = importedModule(lines.code[index]), !layer.imports.contains(module) else { return nil }
        let allowed = layer.imports.sorted().joined(separator: ", ")
        return Violation(
            path: path, line: index + 1, rule: "import",
            message: "layer rule: \(target) may not import \(module): \(layer.reason) (allowed: \(allowed))")
    }
}

/// The module that a line of code imports, if it does.
func importedModule(_ code: String) -> String? {
    let modifiers: Set<String> = [
        "public", "package", "internal", "fileprivate", "private", "testable", "preconcurrency", "exported", "_exported",
        "implementationOnly", "_implementationOnly", "_spi", "spi", "unsafe",
    ]
    let kinds: Set<String> = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var", "macro"]
    let all = words(code)
    guard let at = all.firstIndex(where: { $0.text == "import" && $0.before != "." && $0.before != "`" }) else { return nil }
    let isAttributed = code.contains("@")  // the arguments of an attribute may be any word
    guard isAttributed || all[..<at].allSatisfy({ modifiers.contains($0.text) }) else { return nil }
    var next = at + 1
    if next < all.count, kinds.contains(all[next].text) {
        next += 1
    }
    return next < all.count ? all[next].text : nil
}
