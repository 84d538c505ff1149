/// The modules that one target may import, and the reason.
public struct Layer: Sendable {
    /// The target's name, which is its folder in Sources.
    public let target: String
    /// The modules that it may import; it need not import all of them.
    public let imports: Set<String>
    /// Why it may import no other.
    public let reason: String
}

/// The layers: the one table of what may depend on what.
public let layers: [Layer] = [
    Layer(
        target: "CheckpointFormat", imports: [],
        reason: "the format is a pure function of bytes, and does no I/O"),
    Layer(
        target: "CheckpointSharding", imports: ["CheckpointFormat"],
        reason: "a sharding is arithmetic on shapes, and knows neither memory nor files"),
    Layer(
        target: "CheckpointCodecs",
        imports: ["CheckpointFormat", "CKernels", "CLZ4", "CZstd", "Glibc"],
        reason: "codecs turn bytes into bytes, and know no files"),
    Layer(
        target: "CheckpointIO",
        imports: ["SystemPackage", "Synchronization", "Glibc", "CPlatform"],
        reason: "I/O moves bytes, and must not know what they mean"),
    Layer(
        target: "CheckpointState",
        imports: ["CheckpointFormat", "CheckpointSharding", "CheckpointCodecs", "Foundation"],
        reason: "state is captured in memory, and does not reach the disk"),
    Layer(
        target: "CheckpointSegments",
        imports: ["CheckpointFormat", "CheckpointIO", "CheckpointCodecs", "SystemPackage"],
        reason: "segments join format, codecs and I/O, and know neither trainer nor catalog"),
    Layer(
        target: "CheckpointCatalog",
        imports: ["CheckpointFormat", "CheckpointCodecs", "GRDB", "SystemPackage", "Foundation"],
        reason: "only the catalog knows SQLite, and it knows manifests but no segments"),
    Layer(
        target: "CheckpointDevices",
        imports: ["CheckpointState", "CheckpointIO", "CheckpointCodecs", "Glibc"],
        reason: "a device copies bytes, and knows neither engine nor store"),
    Layer(
        target: "CheckpointExchange",
        imports: ["CheckpointFormat", "CheckpointIO", "CheckpointState", "CZlib", "SystemPackage"],
        reason: "foreign formats are read and written without an engine"),
    Layer(
        target: "CheckpointGuard", imports: ["CGuard", "CheckpointIO", "Glibc"],
        reason: "guards watch memory, and know neither state nor files"),
    Layer(
        target: "CheckpointStorage",
        imports: [
            "CheckpointFormat", "CheckpointSharding", "CheckpointCodecs", "CheckpointIO",
            "CheckpointState", "CheckpointSegments", "CheckpointCatalog", "SystemPackage",
            "Foundation",
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
            "CheckpointStorage", "CheckpointFormat", "CheckpointSharding", "CheckpointCodecs",
            "CheckpointIO", "CheckpointState", "CheckpointSegments", "CheckpointGuard",
            "SystemPackage", "Foundation", "Logging", "CoreMetrics",
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
    Layer(
        target: "CheckpointObjects",
        imports: [
            "CheckpointMaintenance", "CheckpointStorage", "CheckpointSegments", "CheckpointIO",
            "CheckpointCodecs", "CheckpointFormat", "SystemPackage", "Foundation", "Glibc",
            "Synchronization",
            "AsyncHTTPClient", "NIOCore", "NIOHTTP1", "NIOPosix", "NIOSSL", "Crypto",
        ],
        reason: "objects take the place of files below a store, and a mirror follows one; both know no engine"),
    Layer(
        target: "CheckpointCABI",
        imports: [
            "CCheckpoint", "Checkpointing", "CheckpointMaintenance", "CheckpointStorage",
            "CheckpointDevices", "CheckpointFormat", "CheckpointSharding", "CheckpointState",
            "CheckpointIO", "CheckpointObjects", "Foundation", "Logging", "Glibc",
        ],
        reason: "the C interface translates arguments and errors, and decides nothing"),
]

/// Rules about the direction of imports in Sources.
public enum LayerRules {
    /// Rule: a file imports only what the layer of its target may import.
    @Sendable public static func imports(_ path: String, _ lines: Lines) -> [Violation] {
        let parts = path.split(separator: "/")
        guard isSwift(path, in: ["Sources/"]), parts.count >= 3 else { return [] }
        let target = String(parts[1])
        guard let layer = layers.first(where: { $0.target == target }) else {
            let message =
                "layer rule: target \(target) is not in the table of layers; give it a row"
            return [Violation(path: path, line: 1, rule: "import", message: message)]
        }
        return Import.all(in: lines).filter { !layer.imports.contains($0.module) }.map { found in
            Violation(
                path: path, line: found.line, rule: "import",
                message: "layer rule: " + refusal(layer, found.module))
        }
    }

    /// Rule: every row of the table belongs to a target.
    @Sendable public static func rows(_ tree: SourceTree) -> [Violation] {
        layers.filter { tree.manifest.target(named: $0.target) == nil }.map { layer in
            Violation(
                path: "Tools/tidy/Rules/LayerRules.swift", line: 1, rule: "layer",
                message:
                    "the table has a row for \(layer.target), which is not a target; remove the row"
            )
        }
    }

    /// Rule: a target declares only dependencies that its layer may import.
    @Sendable public static func declarations(_ tree: SourceTree) -> [Violation] {
        layers.flatMap { layer -> [Violation] in
            let declared = tree.manifest.target(named: layer.target)?.dependencies ?? []
            return declared.filter { !layer.imports.contains($0.name) }.map { dependency in
                Violation(
                    path: "Package.swift", line: tree.manifestLine(of: layer.target), rule: "layer",
                    message: refusal(layer, dependency.name))
            }
        }
    }

    /// Rule: no target depends on itself through others. SwiftPM refuses this too, but names only
    /// one arrow.
    @Sendable public static func circles(_ tree: SourceTree) -> [Violation] {
        tree.manifest.graph.circles.map { circle in
            Violation(
                path: "Package.swift", line: tree.manifestLine(of: circle[0]),
                rule: "module-circle",
                message: (circle + circle.prefix(1)).joined(separator: " -> "))
        }
    }

    private static func refusal(_ layer: Layer, _ module: String) -> String {
        let allowed = layer.imports.sorted().joined(separator: ", ")
        return "\(layer.target) may not import \(module): \(layer.reason) (allowed: \(allowed))"
    }
}
