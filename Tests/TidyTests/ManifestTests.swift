import Testing

@testable import TidyRules

@Suite("Manifest", .timeLimit(.minutes(20)))
struct ManifestTests {
    private let json = """
        {"name": "p", "targets": [
          {"name": "CLib", "type": "system", "dependencies": [], "exclude": [], "pkgConfig": "lib"},
          {"name": "A", "type": "regular", "exclude": [],
           "dependencies": [{"byName": ["CLib", null]},
                            {"product": ["GRDB", "GRDB.swift", null, null]}]},
          {"name": "ATests", "type": "test", "exclude": ["Golden"],
           "dependencies": [{"target": ["A", null]}]},
          {"name": "tool", "type": "executable", "path": "Tools/tool", "dependencies": []}
        ]}
        """

    @Test("The dump of a package gives the targets, their folders and dependencies")
    func decodes() throws {
        let manifest = try PackageManifest(json: Array(json.utf8))
        #expect(manifest.targets.map(\.name) == ["CLib", "A", "ATests", "tool"])
        #expect(manifest.targets.map(\.kind) == ["system", "regular", "test", "executable"])
        #expect(
            manifest.targets.map(\.folder) == [
                "Sources/CLib", "Sources/A", "Tests/ATests", "Tools/tool",
            ])
        #expect(
            manifest.targets[1].dependencies == [
                PackageDependency("CLib"), PackageDependency("GRDB", isProduct: true),
            ])
        #expect(manifest.graph.arrows["ATests"] == ["A"])
    }

    @Test("A file belongs to the innermost target, unless it is excluded")
    func ownership() throws {
        let manifest = try PackageManifest(json: Array(json.utf8))
        #expect(manifest.target(of: "Sources/A/Room/B.swift")?.name == "A")
        #expect(manifest.target(of: "Sources/AB/B.swift") == nil)
        #expect(manifest.target(of: "Tests/ATests/Golden/B.swift") == nil)
        let nested = PackageManifest(targets: [
            .sample("A"), PackageTarget(name: "B", folder: "Sources/A/B"),
        ])
        #expect(nested.target(of: "Sources/A/B/C.swift")?.name == "B")
    }

    @Test(
        "Text that is no dump is an error", arguments: ["", "{}", #"{"targets": [{"name": "A"}]}"#])
    func damaged(text: String) {
        #expect(throws: PackageManifestError.self) { try PackageManifest(json: Array(text.utf8)) }
    }

    @Test("A dependency of an unknown kind is an error")
    func unknownKind() {
        let text =
            #"{"targets": [{"name": "A", "type": "regular", "dependencies": [{"odd": ["B"]}]}]}"#
        #expect(throws: PackageManifestError.self) { try PackageManifest(json: Array(text.utf8)) }
    }
}

@Suite("Imports of targets", .timeLimit(.minutes(20)))
struct ImportRuleTests {
    @Test("An import that the target does not declare is found; the toolchain needs no declaration")
    func undeclared() {
        let tree = sampleTree(
            [.sample("A", "B"), .sample("B", "C"), .sample("C")],
            [
                "Sources/A/A.swift": "import Foundation\nimport B\nimport C\n",
                "Sources/B/B.swift": "import C\n",
            ])
        let found = ImportRules.undeclared(tree)
        #expect(found.map(\.path) == ["Sources/A/A.swift"])
        #expect(found.map(\.line) == [3])
        #expect(found.first?.message.contains("A does not declare C") == true)
    }

    @Test("A product counts by the modules that it vends")
    func products() {
        let target = PackageTarget(
            name: "A", dependencies: [PackageDependency("GRDB", isProduct: true)])
        #expect(
            ImportRules.undeclared(sampleTree([target], ["Sources/A/A.swift": "import GRDB\n"]))
                .isEmpty)
        #expect(
            ImportRules.undeclared(sampleTree([target], ["Sources/A/A.swift": "import Logging\n"]))
                .count == 1)
    }

    @Test("A dependency that no file imports is found; C targets are not read")
    func unused() {
        let targets: [PackageTarget] = [.sample("A", "B", "C"), .sample("B"), .sample("C", "B")]
        let tree = sampleTree(
            targets,
            ["Sources/A/A.swift": "import B\n", "Sources/B/B.swift": "", "Sources/C/c.c": ""])
        let found = ImportRules.unused(tree)
        #expect(found.map(\.message) == ["no file of target A imports C; remove it"])
    }

    @Test("Tests may depend on a program that they only run")
    func programs() {
        let files = [
            "Sources/tool/A.swift": "", "Tests/ATests/A.swift": "", "Sources/A/A.swift": "",
        ]
        let tool = PackageTarget.sample("tool", kind: "executable")
        #expect(
            ImportRules.unused(sampleTree([.sample("ATests", kind: "test", "tool"), tool], files))
                .isEmpty)
        #expect(ImportRules.unused(sampleTree([.sample("A", "tool"), tool], files)).count == 1)
    }
}

@Suite("Layers of the manifest", .timeLimit(.minutes(20)))
struct LayerDeclarationTests {
    @Test("A target declares only what its layer may import")
    func declarations() {
        let layer = layers[1]
        let good = PackageTarget(
            name: layer.target, dependencies: layer.imports.map { PackageDependency($0) })
        #expect(LayerRules.declarations(sampleTree([good])).isEmpty)
        #expect(LayerRules.declarations(sampleTree([.sample(layer.target, "Upper")])).count == 1)
    }

    @Test("A row without a target is found")
    func rows() {
        let all = layers.map { PackageTarget.sample($0.target) }
        #expect(LayerRules.rows(sampleTree(all)).isEmpty)
        #expect(LayerRules.rows(sampleTree(Array(all.dropFirst()))).count == 1)
    }

    @Test("A circle of targets is found")
    func circles() {
        let chain: [PackageTarget] = [.sample("A", "B"), .sample("B", "C"), .sample("C")]
        #expect(LayerRules.circles(sampleTree(chain)).isEmpty)
        let circle: [PackageTarget] = [.sample("A", "B"), .sample("B", "C"), .sample("C", "A")]
        #expect(LayerRules.circles(sampleTree(circle)).map(\.message) == ["A -> B -> C -> A"])
    }
}
