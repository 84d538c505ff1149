import CheckpointTestSupport
import Foundation
import Testing

@Suite(.timeLimit(.minutes(10))) struct MirrorTests {
    @Test func aLostStoreComesBackAsItWas() throws {
        let sample = try Sample()
        let (golden, mirror) = (Golden(sample), sample.folder.path + "/mirror")
        #expect(try ckpt("tag", sample.store, "good", "10").status == 0)
        try golden.expect(ckpt("mirror", sample.store, mirror, "--json"), "mirror.json")
        try golden.expect(ckpt("mirror", sample.store, mirror), "mirror-again.txt")
        let before = try ckpt("ls", sample.store, "--json").output
        #expect(try ckpt("ls", mirror, "--json").output == before)
        try FileManager.default.removeItem(atPath: sample.store)
        try golden.expect(ckpt("mirror", mirror, sample.store), "mirror.txt")
        #expect(try ckpt("ls", sample.store, "--json").output == before)
        #expect(try ckpt("verify", sample.store).status == 0)
    }

    @Test func aPlaceWithAnotherStoreIsRefused() throws {
        let (sample, other) = (try Sample(), try Sample())
        let run = try ckpt("mirror", sample.store, other.store)
        #expect(run.status == 7 && run.errors.contains("holds another store"), "\(run)")
        #expect(try ckpt("mirror", sample.store, "s3://x/../y").status == 2)
        #expect(try ckpt("mirror", sample.store, sample.folder.path + "/m", "--limit", "0").status == 2)
    }

    /// A checkpoint whose manifest is gone is not damage; the mirror has it all the same.
    @Test func aRepairTellsWhatOnlyTheMirrorHas() throws {
        let sample = try Sample()
        let mirror = sample.folder.path + "/mirror"
        #expect(try ckpt("mirror", sample.store, mirror).status == 0)
        let manifests = sample.store + "/manifests"
        let names = try FileManager.default.contentsOfDirectory(atPath: manifests).sorted()
        try FileManager.default.removeItem(atPath: manifests + "/" + names[0])
        let told = try ckpt("repair", sample.store, "--from", mirror, "--dry-run")
        let command = "ckpt mirror \(mirror) \(sample.store)"
        #expect(
            told.output.contains("the mirror has 1 checkpoint that this store does not have")
                && told.output.contains("to bring them here: \(command)\n"), "\(told.output)")
        let run = try ckpt("repair", sample.store, "--from", mirror, "--json")
        #expect(try run.status == 0 && run.json().integer("only_in_mirror") == 1)
        #expect(try ckpt("mirror", mirror, sample.store).status == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: manifests).sorted() == names)
        let again = try ckpt("repair", sample.store, "--from", mirror)
        #expect(again.status == 0 && !again.output.contains("the mirror has"), "\(again.output)")
    }

    /// Follows until it is interrupted, and then ends as a signal ends a program.
    @Test func aFollowerSendsWhatIsCommitted() throws {
        let sample = try Sample()
        let mirror = sample.folder.path + "/mirror"
        let process = Process()
        process.executableURL = program
        process.arguments = ["mirror", sample.store, mirror, "--follow"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        let limit = try ProcessLimit(process, limit: .seconds(120))
        defer { limit.cancel() }
        func steps() -> Int {
            let names = try? FileManager.default.contentsOfDirectory(atPath: mirror + "/manifests")
            return names?.count ?? 0
        }
        let first = try FileManager.default.contentsOfDirectory(atPath: sample.store + "/manifests").count
        let end = ContinuousClock.now + .seconds(60)
        while steps() < first, ContinuousClock.now < end { usleep(50_000) }
        #expect(steps() == first)
        try sample.folder.write(Self.numpyFile, to: "array.npy")
        #expect(try ckpt("import", sample.store, sample.folder.path + "/array.npy", "--step", "99").status == 0)
        while steps() == first, ContinuousClock.now < end { usleep(50_000) }
        #expect(steps() == first + 1)
        process.interrupt()
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGINT)
    }

    /// Two floats.
    private static var numpyFile: [UInt8] {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
            .padding(toLength: 117, withPad: " ", startingAt: 0)
        return [0x93] + Array("NUMPY\u{1}\u{0}v\u{0}\(header)\nabcdefgh".utf8)
    }
}
