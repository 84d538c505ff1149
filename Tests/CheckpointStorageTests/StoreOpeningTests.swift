import CheckpointCodecs
import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
@testable import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Foundation
import Testing

/// Every way in which a store cannot be opened has its own code, and costs nothing that was there.
@Suite("Opening a store", .timeLimit(.minutes(20)))
struct StoreOpeningTests {
    private let directory = try? TemporaryDirectory()

    private func path(_ name: String) throws -> String { try #require(directory).appending(name) }

    private func code(_ path: String, for access: CheckpointStore.Access = .writing) -> CheckpointError.Code? {
        do throws(CheckpointError) {
            _ = try CheckpointStore.open(path, for: access)
            return nil
        } catch {
            return error.code
        }
    }

    @Test("a store that is missing is made with its parents, but not for reading")
    func missing() throws {
        #expect(code(try path("absent"), for: .reading) == .notFound)
        #expect(code(try path("absent/below"), for: .maintaining) == .notFound)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path("")).isEmpty)
        #expect(code(try path("absent/below/it")) == nil)
        #expect(code(try path("absent/below/it"), for: .reading) == nil)
    }

    @Test("the address of an object store makes no directory", arguments: ["s3://bucket/run", "gs://bucket/run"])
    func address(text: String) throws {
        for access in [CheckpointStore.Access.reading, .writing, .maintaining] {
            let error = #expect(throws: CheckpointError.self) { try CheckpointStore.open(text, for: access) }
            #expect(error?.code == .misuse && error?.remedy?.contains("S3") == true)
        }
        #expect(!FileManager.default.fileExists(atPath: String(text.prefix(3))))
        // Not every colon makes an address.
        #expect(code(try path("a:") + "//b") == nil)
    }

    @Test("a link that leads nowhere is named, and nothing is made where it leads")
    func danglingLink() throws {
        let link = try path("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "nowhere/at/all")
        let error = #expect(throws: CheckpointError.self) { try CheckpointStore.open(link, for: .writing) }
        #expect(
            error?.code == .io
                && error?.message == "\(link) is a symbolic link to a path that does not exist")
        #expect(error?.remedy?.contains("remove the link") == true)
        #expect(code(link, for: .reading) == .notFound)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path("")) == ["link"])
    }

    @Test func aFile() throws {
        let path = try path("file")
        try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
        #expect(code(path) == .notAStore)
        #expect(code(path, for: .reading) == .notAStore)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
    }

    @Test("a directory with something else in it is left as it was")
    func foreignDirectory() throws {
        let path = try path("home")
        try FileManager.default.createDirectory(atPath: path + "/photos", withIntermediateDirectories: true)
        #expect(code(path) == .notAStore)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["photos"])
    }

    @Test("an interrupted creation is completed")
    func interruptedCreation() throws {
        let path = try path("half")
        try FileManager.default.createDirectory(atPath: path + "/manifests", withIntermediateDirectories: true)
        try Data().write(to: URL(fileURLWithPath: path + "/writer.lock"))
        #expect(code(path) == nil)
    }

    @Test("a store that was copied without its empty directories can be written")
    func copiedWithoutEmptyDirectories() throws {
        let path = try path("copied")
        _ = try CheckpointStore.open(path, for: .writing)
        for name in ["manifests", "segments", "staging"] { try FileManager.default.removeItem(atPath: path + "/" + name) }
        let tensors = TestTensors(sizes: [64])
        let checkpointer = try Checkpointer(
            store: CheckpointStore.open(path, for: .writing), state: tensors, options: smallOptions())
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
    }

    @Test("a second writer is refused, readers are not, and the lock goes with its holder")
    func busy() throws {
        let path = try path("store")
        do {
            let writer = try CheckpointStore.open(path, for: .writing)
            #expect(code(path) == .busy)
            #expect(code(path, for: .reading) == nil)
            withExtendedLifetime(writer) {}
        }
        #expect(code(path) == nil)
    }

    @Test("an unknown required feature is refused by its name; an unknown optional one is not")
    func unknownFeature() throws {
        let path = try path("future")
        _ = try CheckpointStore.open(path, for: .writing)
        var identity = StoreIdentity(id: .random(), created: 1)
        identity.optionalFeatures = ["warm-start"]
        try rewrite(path, identity)
        #expect(code(path, for: .reading) == nil)
        identity.requiredFeatures = ["time-travel"]
        try rewrite(path, identity)
        let error = #expect(throws: CheckpointError.self) { _ = try CheckpointStore.open(path, for: .writing) }
        #expect(error?.code == .unsupported)
        #expect(error?.description.contains("time-travel") == true)
    }

    private func rewrite(_ path: String, _ identity: StoreIdentity) throws {
        try Data(identity.encoded(digest: Hashing.digest)).write(to: URL(fileURLWithPath: path + "/store.json"))
    }

    @Test("any flipped byte of store.json is an error, or changes nothing that the file says")
    func flippedIdentity() throws {
        let path = try path("flip")
        let id = try CheckpointStore.open(path, for: .writing).id
        let url = URL(fileURLWithPath: path + "/store.json")
        let bytes = try Data(contentsOf: url)
        for index in bytes.indices {
            var flipped = bytes
            flipped[index] ^= 0x10
            try flipped.write(to: url)
            do throws(CheckpointError) {
                #expect(try CheckpointStore.open(path, for: .reading).id == id, "byte \(index)")
            } catch {
                #expect(error.code == .damaged || error.code == .unsupported, "byte \(index): \(error)")
            }
        }
    }
}
