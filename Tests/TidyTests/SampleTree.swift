@testable import TidyRules

/// A small tree for tests: targets with their dependencies, and files with their text.
func sampleTree(_ targets: [PackageTarget], _ files: [String: String] = [:]) -> SourceTree {
    SourceTree(
        manifest: PackageManifest(targets: targets),
        files: files.map { SourceFile(path: $0.key, text: $0.value) })
}

extension PackageTarget {
    /// A target that depends on other targets of the package.
    static func sample(_ name: String, kind: String = "regular", _ dependencies: String...)
        -> PackageTarget
    {
        PackageTarget(
            name: name, kind: kind, dependencies: dependencies.map { PackageDependency($0) })
    }
}
