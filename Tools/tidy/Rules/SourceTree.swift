/// A checkout: the targets of its package, and its files.
public struct SourceTree: Sendable {
    /// The targets.
    public let manifest: PackageManifest
    /// The files, by path.
    public let files: [SourceFile]

    /// A tree of these files.
    public init(manifest: PackageManifest, files: [SourceFile]) {
        self.manifest = manifest
        self.files = files.sorted { $0.path < $1.path }
    }

    /// The Swift files of each target, by the target's name.
    func swiftFiles() -> [String: [SourceFile]] {
        let swift = files.filter { $0.path.hasSuffix(".swift") }
        return Dictionary(grouping: swift) { manifest.target(of: $0.path)?.name ?? "" }
    }

    /// The line of the package description that a target's violations are reported at: the one with
    /// its name.
    func manifestLine(of target: String) -> Int {
        let lines = files.first { $0.path == "Package.swift" }?.lines.raw ?? []
        return (lines.firstIndex { $0.contains("name: \"\(target)\"") } ?? 0) + 1
    }
}

/// One file of a tree.
public struct SourceFile: Sendable {
    /// The path relative to the root of the checkout.
    public let path: String
    /// The lines.
    public let lines: Lines

    /// Cuts the text of a file into lines.
    public init(path: String, text: String) {
        self.path = path
        lines = Lines(text, Language(path: path))
    }

    /// Every import of the file.
    var imports: [Import] { Import.all(in: lines) }
}

/// A rule: a function of the whole tree.
public typealias TreeRule = @Sendable (SourceTree) -> [Violation]

/// Every rule about the tree as a whole, in the order of their reports.
public let treeRules: [TreeRule] = [
    LayerRules.rows, LayerRules.declarations, LayerRules.circles, ImportRules.undeclared,
    ImportRules.unused,
    RoomRules.circles, RoomRules.roots, SuiteRules.timeLimits, NamedTestRule.exist, TypeNameRules.unique,
]

/// Runs the rules about files over every file, then the rules about the tree, then the rules that
/// have a ratchet.
public func checkTree(_ tree: SourceTree, _ ratchet: Ratchet) -> [Violation] {
    tree.files.flatMap { checkAll($0) } + treeRules.flatMap { $0(tree) }
        + ratchet.violations(in: tree)
}
