/// Rules that compare what a target declares in Package.swift with what its files import.
public enum ImportRules {
    /// The modules of the toolchain, which need no declaration.
    static let toolchain: Set<String> = [
        "Swift", "Foundation", "FoundationEssentials", "Glibc", "Testing", "XCTest",
        "Synchronization", "Dispatch",
    ]

    /// The modules that each product of another package vends.
    static let products: [String: Set<String>] = [
        "ArgumentParser": ["ArgumentParser"], "CoreMetrics": ["CoreMetrics"], "GRDB": ["GRDB"],
        "Logging": ["Logging"], "MetricsTestKit": ["MetricsTestKit"],
        "SystemPackage": ["SystemPackage"], "AsyncHTTPClient": ["AsyncHTTPClient"],
        "Crypto": ["Crypto"], "NIOCore": ["NIOCore"], "NIOHTTP1": ["NIOHTTP1"],
        "NIOPosix": ["NIOPosix"], "NIOSSL": ["NIOSSL"],
    ]

    /// Rule: a file imports only what its own target declares, because a dependency of a dependency
    /// may go away.
    @Sendable public static func undeclared(_ tree: SourceTree) -> [Violation] {
        let files = tree.swiftFiles()
        return tree.manifest.targets.flatMap { target -> [Violation] in
            let declared = target.dependencies.reduce(into: toolchain) {
                $0.formUnion(modules(of: $1))
            }
            return (files[target.name] ?? []).flatMap { file in
                file.imports.filter { !declared.contains($0.module) }.map { found in
                    Violation(
                        path: file.path, line: found.line, rule: "undeclared-import",
                        message:
                            "target \(target.name) does not declare \(found.module)"
                            + " in Package.swift (ImportRules.products lists what products vend)"
                    )
                }
            }
        }
    }

    /// Rule: what a target declares is imported by a file of it, so that the manifest shows the
    /// true arrows.
    @Sendable public static func unused(_ tree: SourceTree) -> [Violation] {
        let files = tree.swiftFiles()
        return tree.manifest.targets.flatMap { target -> [Violation] in
            guard let own = files[target.name] else { return [] }  // C files are not read
            let imported = Set(own.flatMap { $0.imports.map(\.module) })
            return target.dependencies.compactMap { dependency in
                guard modules(of: dependency).isDisjoint(with: imported) else { return nil }
                guard !isExcused(target, dependency, tree.manifest) else { return nil }
                return Violation(
                    path: "Package.swift", line: tree.manifestLine(of: target.name),
                    rule: "unused-dependency",
                    message:
                        "no file of target \(target.name) imports \(dependency.name); remove it"
                )
            }
        }
    }

    private static func modules(of dependency: PackageDependency) -> Set<String> {
        dependency.isProduct ? products[dependency.name] ?? [] : [dependency.name]
    }

    private static func isExcused(
        _ target: PackageTarget, _ dependency: PackageDependency, _ manifest: PackageManifest
    ) -> Bool {
        let kind = manifest.target(named: dependency.name)?.kind
        return unusedDependencies.contains { excuse in
            excuse.dependentKind == target.kind && excuse.dependencyKind == kind
                && [nil, dependency.name].contains(excuse.dependency)
        }
    }
}

/// A dependency that may be declared without an import.
struct UnusedDependency {
    /// The kind of the target that declares the dependency.
    let dependentKind: String
    /// The kind of the dependency.
    let dependencyKind: String
    /// The one dependency that is meant; nil for all of that kind.
    let dependency: String?
    /// What the declaration is for.
    let reason: String
}

/// Every dependency that may be declared without an import.
let unusedDependencies = [
    UnusedDependency(
        dependentKind: "test", dependencyKind: "executable", dependency: nil,
        reason: "the tests run the program, and SwiftPM builds it first only if it is a dependency")
]
