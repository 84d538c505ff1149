import FoundationEssentials

/// The targets of a package, as `swift package dump-package` prints them.
public struct PackageManifest: Equatable, Sendable {
    /// The targets in the order of the manifest.
    public let targets: [PackageTarget]

    /// A manifest of these targets.
    public init(targets: [PackageTarget]) {
        self.targets = targets
    }

    /// Decodes the JSON that `swift package dump-package` prints.
    public init(json: [UInt8]) throws(PackageManifestError) {
        let dump: PackageDump
        do {
            dump = try JSONDecoder().decode(PackageDump.self, from: Data(json))
        } catch {
            throw PackageManifestError(reason: "\(error)")
        }
        targets = dump.targets.map(PackageTarget.init)
    }

    /// The target with this name.
    public func target(named name: String) -> PackageTarget? {
        targets.first { $0.name == name }
    }

    /// The target that a file belongs to: the one with the longest folder, because folders may
    /// nest.
    public func target(of path: String) -> PackageTarget? {
        targets.filter { $0.contains(path) }.max { $0.folder.utf8.count < $1.folder.utf8.count }
    }

    /// An arrow from each target to the targets that it declares as dependencies; products are left
    /// out.
    public var graph: Graph {
        let names = Set(targets.map(\.name))
        let arrows = targets.map { ($0.name, Set($0.dependencies.map(\.name)).intersection(names)) }
        return Graph(Dictionary(arrows) { $0.union($1) })
    }
}

/// One target of a package.
public struct PackageTarget: Equatable, Sendable {
    /// The name, which is the name of the module.
    public let name: String
    /// `regular`, `executable`, `test` or `system`.
    public let kind: String
    /// The folder relative to the root of the package, without a slash at the end.
    public let folder: String
    /// Paths inside the folder that do not belong to the target.
    public let exclude: [String]
    /// The targets and products that the target declares as dependencies.
    public let dependencies: [PackageDependency]

    /// A target in this folder, or in the folder where SwiftPM looks for it.
    public init(
        name: String, kind: String = "regular", folder: String? = nil, exclude: [String] = [],
        dependencies: [PackageDependency] = []
    ) {
        self.name = name
        self.kind = kind
        self.folder = folder ?? (kind == "test" ? "Tests/\(name)" : "Sources/\(name)")
        self.exclude = exclude
        self.dependencies = dependencies
    }

    /// Whether a file is inside the folder and not excluded.
    func contains(_ path: String) -> Bool {
        guard path.hasPrefix(folder + "/") else { return false }
        return !exclude.contains { path == "\(folder)/\($0)" || path.hasPrefix("\(folder)/\($0)/") }
    }
}

/// A dependency that a target declares: a target of the same package, or a product of another.
public struct PackageDependency: Equatable, Sendable {
    /// The name of the target or product.
    public let name: String
    /// Whether it comes from another package.
    public let isProduct: Bool

    /// A dependency on a target, or on a product.
    public init(_ name: String, isProduct: Bool = false) {
        self.name = name
        self.isProduct = isProduct
    }
}

/// The dump of a package could not be decoded.
public struct PackageManifestError: Error, Equatable, CustomStringConvertible {
    /// What the decoder reports.
    public let reason: String

    /// The line that is printed.
    public var description: String {
        "cannot decode the output of swift package dump-package: \(reason)"
    }
}

/// The part of the dump that the rules need.
private struct PackageDump: Decodable {
    let targets: [TargetDump]
}

private struct TargetDump: Decodable {
    let name: String
    let type: String
    let path: String?
    let exclude: [String]?
    let dependencies: [DependencyDump]
}

/// A dependency is an object with one key, which is its kind; the value is a list that starts with
/// the name.
private struct DependencyDump: Decodable {
    let dependency: PackageDependency

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Kind.self)
        guard let kind = values.allKeys.first else {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath, debugDescription: "unknown kind of dependency"))
        }
        var list = try values.nestedUnkeyedContainer(forKey: kind)
        dependency = PackageDependency(try list.decode(String.self), isProduct: kind == .product)
    }

    enum Kind: String, CodingKey {
        case byName, target, product
    }
}

extension PackageTarget {
    fileprivate init(_ dump: TargetDump) {
        self.init(
            name: dump.name, kind: dump.type, folder: dump.path, exclude: dump.exclude ?? [],
            dependencies: dump.dependencies.map(\.dependency))
    }
}
