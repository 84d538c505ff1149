import CheckpointFormat
import CheckpointIO
import CheckpointTestSupport
import Checkpointing
import Foundation
import SystemPackage
import Testing

/// Stores in states that nobody wishes for, and outputs that cannot be written.
@Suite(.timeLimit(.minutes(20))) struct BadDayTests {
    private func shell(_ line: String, _ arguments: String...) throws -> Run {
        try execute(URL(fileURLWithPath: "/bin/sh"), ["-c", line, program.path] + arguments)
    }

    private func move(_ path: String, to other: String) throws { try FileManager.default.moveItem(atPath: path, toPath: other) }

    private func files(_ sample: Sample, _ directory: String) throws -> [String] {
        try sample.folder.names(in: "store/\(directory)")
    }

    @Test func standardErrorThatCannotBeWrittenChangesNoExitCode() throws {
        let sample = try Sample()
        #expect(try shell("\"$0\" ls /nonexistent 2> /dev/full").status == 3)
        #expect(try shell("\"$0\" ls 2> /dev/full").status == 2)
        #expect(try shell("\"$0\" verify \"$1\" 9 2>&-", sample.store).status == 3)
        #expect(try shell("\"$0\" ls \"$1\" > /dev/full 2> /dev/full", sample.store).status == 5)
    }

    @Test(arguments: ["ls \"$1\"", "cat \"$1\" 10 model.weight", "cat \"$1\" 10 cursor", "export \"$1\" -o -"])
    func standardOutputThatCannotBeWrittenIsSaid(_ line: String) throws {
        let sample = try Sample()
        let run = try shell("\"$0\" \(line) > /dev/full", sample.store)
        #expect(run.status == 5, "\(run)")
        #expect(run.errors.hasPrefix("ckpt: cannot write to standard output: No space left on device."), "\(run)")
        #expect(run.errors.split(separator: "\n").count == 1, "\(run)")
    }

    /// Ends the program as soon as it has begun to write. (The other signals may be ignored where tests are run, and are then left alone.)
    @Test func anExportThatIsInterruptedLeavesNothing() throws {
        let folder = try TemporaryDirectory()
        let (file, store) = (folder.path + "/x.bin", folder.path + "/store")
        try Data(count: 96 << 20).write(to: URL(fileURLWithPath: file))
        let raw = ["--format", "raw", "--dtype", "u8", "--shape", "\(96 << 20)", "--name", "x", "--compression", "none"]
        #expect(try ckpt(["import", store, file, "--step", "1"] + raw).status == 0)
        // Tests may be run with signals blocked, which programs inherit.
        let interrupted = [SIGTERM, 128 + SIGTERM]
        var ends: [Int32] = []
        while ends.count < 20, !interrupted.contains(ends.last ?? 0) {
            let process = Process()
            process.executableURL = program
            process.arguments = ["export", store, "-o", folder.path + "/out", "--force"]
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            let limit = try ProcessLimit(process)
            #expect(try eventually {
                try !process.isRunning || folder.names(in: "").contains { $0.hasPrefix(".ckpt-") }
            })
            kill(process.processIdentifier, SIGTERM)
            process.waitUntilExit()
            limit.cancel()
            ends.append(process.terminationStatus)
            #expect(try !folder.names(in: "").contains { $0.hasPrefix(".ckpt-") })
        }
        #expect(interrupted.contains(ends.last ?? 0), "it was never caught in the middle: \(ends)")
    }

    @Test(arguments: [false, true])
    func aDiskThatIsNotMountedIsNoLoss(isLink: Bool) throws {
        let sample = try Sample()
        let (segments, away) = (sample.store + "/segments", sample.folder.path + "/disk")
        try move(segments, to: away)
        if isLink { try FileManager.default.createSymbolicLink(atPath: segments, withDestinationPath: sample.folder.path + "/nowhere") }
        let before = try files(sample, "manifests")
        for options in [["--dry-run"], []] {
            let run = try ckpt(["repair", sample.store] + options)
            #expect(run.status == 5 && run.errors.contains("Check that the disk is mounted"), "\(run)")
        }
        let doctor = try ckpt("doctor", sample.store)
        #expect(!doctor.output.contains("ckpt repair") || doctor.output.contains("--dry-run"), "\(doctor.output)")
        #expect(try files(sample, "manifests") == before)
        if isLink { try FileManager.default.removeItem(atPath: segments) }
        try move(away, to: segments)
        #expect(try ckpt("verify", sample.store).status == 0)
    }

    @Test func aSegmentThatComesBackAfterARepairIsKept() throws {
        let sample = try Sample()
        let place = try sample.place(of: "model.weight", step: 10).file
        try move(sample.folder.path + "/" + place, to: sample.folder.path + "/away")
        #expect(try ckpt("repair", sample.store).status == 1)
        try move(sample.folder.path + "/away", to: sample.folder.path + "/" + place)
        // A writer's recovery removes what nobody names.
        _ = try openSoon(sample.store, for: .writing)
        #expect(FileManager.default.fileExists(atPath: sample.folder.path + "/" + place))
    }

    @Test(arguments: ["ln", "cp"])
    func aRepairGoesOnAfterOneThatWasKilled(_ command: String) throws {
        let sample = try Sample()
        let manifest = try #require(try files(sample, "manifests").first)
        try sample.folder.damage("store/manifests/\(manifest)", at: 300)
        let line = "mkdir \"$1/quarantine\" && \(command) \"$1/manifests/$2\" \"$1/quarantine/$2\""
        #expect(try shell(line, sample.store, manifest).status == 0)
        #expect(try ckpt("repair", sample.store).status == 1)
        #expect(try ckpt("verify", sample.store).status == 0)
        #expect(try files(sample, "manifests").count == 1)
    }

    /// Of a file that ends in the padding of a block, the block is whole.
    @Test func aSegmentCutInPaddingLosesNothing() throws {
        let sample = try Sample()
        let manifest = try CheckpointStore.open(sample.store).load(.step(10)).manifest
        let last = try #require(manifest.blocks.max { $0.offset < $1.offset })
        let path = "\(sample.store)/segments/\(manifest.segments[last.segment].name)"
        unsafe #expect(truncate(path, last.offset + last.storedBytes + 1) == 0)
        let run = try ckpt("repair", sample.store, "--json")
        #expect(run.status == 0, "\(run)")
        #expect(try run.json().list("moved").count == 1 && run.json().list("losses").isEmpty)
        #expect(try ckpt("verify", sample.store).status == 0)
        #expect(try ckpt("restore", sample.store, "10", "-o", sample.folder.path + "/out").status == 0)
    }

    @Test func aManifestThatIsALinkToNothingIsDamage() throws {
        let sample = try Sample()
        let newest = try #require(try files(sample, "manifests").last)
        try FileManager.default.removeItem(atPath: "\(sample.store)/manifests/\(newest)")
        try FileManager.default.createSymbolicLink(atPath: "\(sample.store)/manifests/\(newest)", withDestinationPath: "/nonexistent/x")
        let verify = try ckpt("verify", sample.store)
        #expect(verify.status == 1 && verify.output.contains("a symbolic link to a missing file"))
        #expect(try ckpt("inspect", sample.store, "--json").json().integer("step") == 10)
    }

    @Test func aManifestThatIsBeingReplacedIsWaitedFor() throws {
        let sample = try Sample()
        let path = FilePath("\(sample.store)/manifests/\(try #require(try files(sample, "manifests").last))")
        let claim = try #require(try POSIXFileSystem().reopen(path))
        let thread = try WorkerThread(name: "claim") {
            usleep(150_000)
            claim.close()
        }
        #expect(try ckpt("inspect", sample.store, "20", "--json").json().integer("step") == 20)
        thread.join()
    }

    @Test func repairTellsOfATagThatItLeaves() throws {
        let sample = try Sample()
        #expect(try ckpt("tag", sample.store, "10", "first").status == 0)
        try sample.folder.write([1, 2], to: "store/tags/first")
        let run = try ckpt("repair", sample.store)
        #expect(run.status == 1 && run.output.contains("tags/first") && run.output.contains("no checkpoint is damaged"))
        let copy = try ckpt("copy", sample.store, sample.folder.path + "/copy")
        #expect(copy.status == 0 && copy.errors.contains("not copied") && copy.errors.contains("tags/first"))
        // What it protects in the destination, nobody knows.
        let back = try ckpt("copy", sample.folder.path + "/copy", sample.store)
        #expect(back.status == 1 && back.errors.contains("tags/first"))
    }

    @Test func aNamedPipeInTheCatalogsPlaceIsNotWaitedFor() throws {
        let sample = try Sample()
        let catalog = sample.store + "/catalog.sqlite"
        try FileManager.default.removeItem(atPath: catalog)
        unsafe #expect(mkfifo(catalog, 0o600) == 0)
        for verb in ["ls", "inspect", "verify", "doctor"] {
            let run = try shell("timeout 120 \"$0\" \(verb) \"$1\"", sample.store)
            #expect(run.status != 124, "\(verb)")
        }
    }

    @Test func aCopyWithoutEmptyDirectoriesIsAStoreWithoutCheckpoints() throws {
        let sample = try Sample()
        let empty = sample.folder.path + "/empty"
        try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: false)
        try FileManager.default.copyItem(atPath: sample.store + "/store.json", toPath: empty + "/store.json")
        for verb in ["ls", "log", "stats", "verify", "tag"] {
            let run = try ckpt(verb, empty)
            #expect(run.status == 0, "\(verb): \(run)")
        }
        #expect(try ckpt("inspect", empty).errors.contains("contains no checkpoints"))
    }

    @Test func aCopyOfWhatIsNotThereMakesNoStore() throws {
        let sample = try Sample()
        #expect(try ckpt("copy", sample.store, sample.folder.path + "/copy", "nosuch").status == 3)
        #expect(try sample.folder.names(in: "") == ["store"])
    }

    @Test func watchEndsAtOnceIfTheStepIsThere() throws {
        let sample = try Sample()
        #expect(try shell("timeout 120 \"$0\" watch \"$1\" --until 15", sample.store).status == 0)
        #expect(try shell("timeout 1 \"$0\" watch \"$1\" --until 21", sample.store).status == 124)
    }
}
