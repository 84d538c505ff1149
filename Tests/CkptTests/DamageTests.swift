internal import CheckpointMaintenance
import CheckpointCatalog
import CheckpointFormat
import CheckpointTestSupport
import Checkpointing
import Foundation
import SystemPackage
import Testing

/// What is said, and how the program ends, when files are not what they were.
@Suite(.timeLimit(.minutes(20))) struct DamageTests {
    @Test(arguments: [Compression.none, .lz4])
    func aFlippedByteCostsTheTensorsInItsBlock(_ compression: Compression) throws {
        let sample = try Sample(compression: compression)
        let place = try sample.place(of: "model.weight", step: 20)
        try sample.folder.damage(place.file, at: place.offset + 9)
        let text = try ckpt("verify", sample.store)
        #expect(text.status == 1)
        let line = try #require(text.output.split(separator: "\n").first { $0.contains("tensor ") })
        #expect(line.hasPrefix("20 (") && line.contains("tensor model.weight"))
        #expect(line.contains(URL(fileURLWithPath: place.file).lastPathComponent))
        #expect(text.output.contains("DAMAGED: 1 of 2 checkpoints, 2 segments"))

        let json = try ckpt("verify", sample.store, "--json").json()
        #expect(json.flag("whole") == false)
        let finding = try #require(json.list("findings").first)
        #expect(finding.integer("offset") == place.offset)
        #expect(finding.texts("tensors") == ["model.weight"])
        #expect(finding.list("checkpoints").map { $0.integer("step") } == [20])
        #expect(try ckpt("verify", sample.store, "10").status == 0)
        #expect(try ckpt("verify", sample.store, "--quick").status == 0)
    }

    /// No byte of a segment or a manifest can change unnoticed; nor does any change end the verifier. Every byte would do,
    /// and take minutes.
    @Test func everyByteCounts() throws {
        let sample = try Sample(compression: .zstd(level: 1))
        let store = try CheckpointStore.open(sample.store)
        for (directory, distance) in [("segments", 499), ("manifests", 61)] {
            for name in try sample.folder.names(in: "store/" + directory) {
                let file = "store/\(directory)/\(name)"
                let size = try #require(FileManager.default.contents(atPath: sample.folder.path + "/" + file)).count
                for offset in stride(from: 0, to: size, by: distance) {
                    try sample.folder.damage(file, at: offset)
                    let report = try store.verify()
                    #expect(!report.isWhole && report.findings[0].path.hasSuffix(name), "\(file) at \(offset)")
                    try sample.folder.damage(file, at: offset)
                }
            }
        }
        #expect(try store.verify().isWhole)
    }

    @Test func aDamagedTensorIsNotRestored() throws {
        let sample = try Sample()
        let place = try sample.place(of: "model.weight", step: 20)
        try sample.folder.damage(place.file, at: place.offset)
        let target = sample.folder.path + "/out"
        let run = try ckpt("restore", sample.store, "20", "-o", target)
        #expect(run.status == 1)
        #expect(run.errors.contains("model.weight"))
        #expect(!FileManager.default.fileExists(atPath: target))
        #expect(try ckpt("restore", sample.store, "20", "-o", target, "--tensor", "model.bias").status == 0)
    }

    @Test func paddingIsDamageThatCostsNothing() throws {
        let sample = try Sample()
        let place = try sample.place(of: "model.bias", step: 20)
        try sample.folder.damage(place.file, at: place.offset + 4095)
        let json = try ckpt("verify", sample.store, "--json").json()
        let finding = try #require(json.list("findings").first)
        #expect(finding.integer("offset") == place.offset + 4095)
        #expect(finding.texts("tensors").isEmpty && json.flag("whole") == false)
    }

    @Test func aShortSegmentSaysWhichLengthItShouldHave() throws {
        let sample = try Sample()
        let file = try sample.place(of: "model.weight", step: 20).file
        let handle = try #require(FileHandle(forUpdatingAtPath: sample.folder.path + "/" + file))
        try handle.truncate(atOffset: 8192)
        let json = try ckpt("verify", sample.store, "--json").json()
        let finding = try #require(json.list("findings").first)
        #expect(finding.integer("offset") == 8192)
        #expect(finding.text("message")?.contains("has 8192 bytes, not") == true)
        #expect(finding.texts("tensors").contains("model.weight"))
    }

    @Test func aMissingSegmentCostsEverythingInIt() throws {
        let sample = try Sample()
        let file = try sample.place(of: "model.weight", step: 20).file
        try FileManager.default.removeItem(atPath: sample.folder.path + "/" + file)
        let json = try ckpt("verify", sample.store, "--quick", "--json").json()
        let finding = try #require(json.list("findings").first)
        #expect(finding.texts("tensors") == ["model.weight", "model.bias", "optimizer.m"])
        #expect(finding.texts("objects") == ["cursor", "rng"])
        let restored = try ckpt("restore", sample.store, "20", "-o", sample.folder.path + "/out")
        #expect(restored.status == 1)
    }

    @Test func brokenStructureLosesNoTensor() throws {
        let sample = try Sample()
        let file = try sample.place(of: "model.weight", step: 20).file
        try sample.folder.damage(file, at: 100)
        let run = try ckpt("verify", sample.store, "--json")
        #expect(run.status == 1)
        let findings = try run.json().list("findings")
        #expect(findings.count == 1)
        #expect(findings.first?.texts("tensors") == [])
        #expect(try ckpt("restore", sample.store, "20", "-o", sample.folder.path + "/out").status == 0)
    }

    @Test func aDamagedManifestIsPassedOver() throws {
        let sample = try Sample()
        let newest = try #require(try sample.folder.names(in: "store/manifests").last)
        try sample.folder.damage("store/manifests/" + newest, at: 200)
        try FileManager.default.removeItem(atPath: sample.store + "/catalog.sqlite")
        let list = try ckpt("ls", sample.store)
        #expect(list.status == 1 && list.output.contains("damaged: ") && list.output.contains("\n10 "))
        #expect(try ckpt("ls", sample.store, "--json").json().list("damaged").count == 1)
        let inspected = try ckpt("inspect", sample.store, "--json")
        #expect(inspected.status == 0 && inspected.errors.contains("skipped a damaged checkpoint: "))
        #expect(try inspected.json().integer("step") == 10)
        #expect(try ckpt("inspect", sample.store, "20").status == 1)
        let verified = try ckpt("verify", sample.store)
        #expect(verified.status == 1 && verified.output.contains(newest))
        #expect(verified.output.contains("note: ") && verified.output.contains("no checkpoint that can be read uses"))
    }

    @Test func strangersAreNoted() throws {
        let sample = try Sample()
        for name in ["store/manifests/\u{1B}[31mevil", "store/segments/old.bak"] {
            try Data([1]).write(to: URL(fileURLWithPath: sample.folder.path + "/" + name))
        }
        let run = try ckpt("verify", sample.store)
        #expect(run.status == 0)
        #expect(run.output.contains("\\u{1B}[31mevil") && run.output.contains("old.bak"))
        #expect(!run.output.contains("\u{1B}"))
    }

    @Test func aCatalogThatSaysSomethingElseIsAFindingOfItsOwn() throws {
        let sample = try Sample()
        let manifest = try CheckpointStore.open(sample.store).load(.latest).manifest
        let catalog = try Catalog(path: FilePath(sample.store + "/catalog.sqlite"), access: .writing)
        var entry = try #require(try catalog.entry(named: manifest.name))
        entry.storedBytes += 1
        try catalog.delete([manifest.name])
        try catalog.insert([(entry, manifest)])
        let run = try ckpt("verify", sample.store, "--json")
        #expect(run.status == 0)
        let finding = try #require(try run.json().list("findings").first)
        #expect(finding.text("kind") == "catalog")
        #expect(finding.text("message")?.contains("delete catalog.sqlite") == true)
    }
}
