import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// Verbs that are told to end while they write: they take back what is not complete.
@Suite(.timeLimit(.minutes(10))) struct InterruptionTests {
    /// Large enough that a verb is caught in the middle.
    private static let tensorBytes = 96 << 20
    private let folder: TemporaryDirectory
    private var store: String { folder.path + "/store" }

    init() throws { folder = try TemporaryDirectory() }

    private func makeFile(_ name: String, seed: UInt64) throws -> String {
        var random = SeededGenerator(seed)
        let page = Data(random.bytes(1 << 20))
        var data = Data(capacity: Self.tensorBytes)
        // Every page differs, so that nothing is stored once for several.
        for number in 0..<UInt32(Self.tensorBytes >> 20) {
            let count = [UInt8](String(number).utf8)
            data += Data(count) + page.dropFirst(count.count)
        }
        let path = folder.path + "/" + name
        try data.write(to: URL(fileURLWithPath: path))
        return path
    }

    private func importing(_ file: String, step: Int) -> [String] {
        [
            "import", store, file, "--step", "\(step)", "--format", "raw", "--dtype", "u8",
            "--shape",
            "\(Self.tensorBytes)", "--name", "x", "--run", "x",
        ]
    }

    /// Runs the verb, ends it as soon as `hasBegun`, and repeats that until it was caught in the middle.
    private func interrupt(
        _ arguments: [String], hasBegun: () throws -> Bool, afterEach: () throws -> Void
    ) throws {
        let interrupted = [SIGTERM, 128 + SIGTERM]
        var ends: [Int32] = []
        while ends.count < 20, !interrupted.contains(ends.last ?? 0) {
            let process = Process()
            process.executableURL = program
            process.arguments = arguments
            process.standardOutput = FileHandle.nullDevice
            let errors = Pipe()
            process.standardError = errors
            try process.run()
            let limit = try ProcessLimit(process)
            #expect(try eventually { try !process.isRunning || hasBegun() })
            kill(process.processIdentifier, SIGTERM)
            let text = String(
                decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            limit.cancel()
            ends.append(process.terminationStatus)
            if interrupted.contains(process.terminationStatus) {
                #expect(text.contains("interrupted"), "\(text)")
            }
            try afterEach()
        }
        #expect(interrupted.contains(ends.last ?? 0), "it was never caught in the middle: \(ends)")
    }

    /// Files of the store that belong to no checkpoint.
    private func leavings(_ store: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: store + "/staging")
            .filter { !$0.hasSuffix(".status") }
    }

    private func isWriting(_ store: String) -> Bool {
        let names = (try? leavings(store)) ?? []
        return !names.isEmpty
    }

    private func expectClean(_ store: String) throws {
        #expect(try leavings(store) == [])
        let clean = try ckpt("clean", store)
        #expect(clean.status == 0 && clean.output == "nothing to delete\n", "\(clean)")
    }

    @Test func anImportLeavesNothing() throws {
        let (first, second) = (try makeFile("first", seed: 1), try makeFile("second", seed: 2))
        #expect(try ckpt(importing(first, step: 1)).status == 0)
        try interrupt(importing(second, step: 2)) {
            isWriting(store)
        } afterEach: {
            try expectClean(store)
            // One that came to its end in time makes way for the next attempt.
            _ = try ckpt("rm", store, "2", "--force")
        }
        let list = try ckpt("ls", store, "--json")
        #expect(list.status == 0 && !list.output.contains("\"step\":2"))
        #expect(try ckpt("verify", store).status == 0)
    }

    @Test func aRestoreLeavesNothing() throws {
        let first = try makeFile("first", seed: 3)
        #expect(try ckpt(importing(first, step: 1)).status == 0)
        let out = folder.path + "/out"
        try interrupt(["restore", store, "1", "-o", out]) {
            FileManager.default.fileExists(atPath: out + "/00000.bin")
        } afterEach: {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: out)) ?? []
            #expect(names.isEmpty || names.contains("index.json"), "\(names)")
            try? FileManager.default.removeItem(atPath: out)
        }
    }

    @Test func aCopyKeepsWhatIsCompleteAndGoesOn() throws {
        for step in 1...2 {
            #expect(try ckpt(importing(makeFile("file", seed: UInt64(step)), step: step)).status == 0)
        }
        let other = folder.path + "/other"
        try interrupt(["copy", store, other]) {
            isWriting(other)
        } afterEach: {
            try expectClean(other)
            // One that came to its end in time makes way for the next attempt.
            if try ckpt("ls", other, "--json").output.contains("\"step\":1") {
                try FileManager.default.removeItem(atPath: other)
            }
        }
        #expect(try ckpt("verify", other).status == 0)
        #expect(try ckpt("copy", store, other).status == 0)
        #expect(try ckpt("verify", other).status == 0)
        #expect(try ckpt("ls", other, "--json").output.contains("\"step\":1"))
    }

    @Test func aRepackLeavesEveryCheckpoint() throws {
        let tensors = TestTensors(sizes: [Self.tensorBytes])
        var options = CheckpointerOptions()
        options.compression = .none
        let opened = try CheckpointStore.open(store, for: .writing)
        let checkpointer = try Checkpointer(store: opened, state: tensors, options: options)
        for step in 1...2 {
            checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        try opened.close()
        try interrupt(["repack", store]) {
            isWriting(store)
        } afterEach: {
            try expectClean(store)
        }
        #expect(try ckpt("verify", store).status == 0)
    }

    /// A restore whose result cannot be printed yet, as in a pipe to a pager.
    private func restoreThatWaitsToPrint(to out: String) throws -> (Process, ProcessLimit, Pipe) {
        let output = Pipe()
        let end = output.fileHandleForWriting.fileDescriptor
        let flags = fcntl(end, F_GETFL)
        #expect(fcntl(end, F_SETFL, flags | O_NONBLOCK) == 0)
        let space = [UInt8](repeating: UInt8(ascii: " "), count: 4096)
        while unsafe write(end, space, space.count) > 0 {}
        #expect(errno == EAGAIN && fcntl(end, F_SETFL, flags) == 0)
        let process = Process()
        process.executableURL = program
        process.arguments = ["restore", store, "1", "-o", out, "-v"]
        process.standardOutput = output
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        // Ends the reads, too.
        let limit = try ProcessLimit(process)
        // Said before the result is printed, and after the verb.
        var text = ""
        while !text.contains("took") {
            let data = errors.fileHandleForReading.availableData
            try #require(!data.isEmpty, "it has ended: \(text)")
            text += String(decoding: data, as: UTF8.self)
        }
        return (process, limit, output)
    }

    @Test func aSignalAfterTheWorkDoesNotChangeTheResult() throws {
        let first = try makeFile("first", seed: 4)
        #expect(try ckpt(importing(first, step: 1)).status == 0)
        let out = folder.path + "/out"
        let (process, limit, output) = try restoreThatWaitsToPrint(to: out)
        kill(process.processIdentifier, SIGINT)
        #expect(!eventually(within: .seconds(1)) { !process.isRunning })
        try output.fileHandleForWriting.close()
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        limit.cancel()
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        #expect(text.contains("restored 1 tensor"), "\(text.suffix(200))")
        #expect(FileManager.default.fileExists(atPath: out + "/index.json"))
    }

    @Test func aSecondSignalEndsACommandThatWaitsToPrint() throws {
        let first = try makeFile("first", seed: 5)
        #expect(try ckpt(importing(first, step: 1)).status == 0)
        let (process, limit, output) = try restoreThatWaitsToPrint(
            to: folder.path + "/out")
        kill(process.processIdentifier, SIGINT)
        #expect(!eventually(within: .seconds(1)) { !process.isRunning })
        kill(process.processIdentifier, SIGINT)
        process.waitUntilExit()
        limit.cancel()
        #expect([SIGINT, 128 + SIGINT].contains(process.terminationStatus))
        _ = output
    }
}
