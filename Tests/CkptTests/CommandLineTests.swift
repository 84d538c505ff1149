import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Foundation
import Testing

/// Exit codes, messages, and what reaches a terminal.
@Suite(.timeLimit(.minutes(20))) struct CommandLineTests {
    @Test func theDocumentListsTheExitCodesOfTheProgram() throws {
        let page = try String(contentsOf: checkout.appendingPathComponent("Formats/cli-json.md"), encoding: .utf8)
        let table = try #require(page.components(separatedBy: "<!-- table: ExitCode -->").dropFirst().first)
        let documented = table.components(separatedBy: "\n").prefix { $0.isEmpty || $0.hasPrefix("|") }.dropFirst(3)
            .filter { !$0.isEmpty }.map { row in
                row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: " ")
            }
        let help = try ckpt("--help")
        #expect(help.status == 0)
        let words = help.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(documented.count == 8)
        #expect(words.contains("Exit codes: " + documented.joined(separator: " ") + " USAGE:"))
    }

    @Test(arguments: [
        ["ls"], ["fly", "s"], ["ls", "s", "--limit", "0"], ["inspect", "s", "a/b"], ["diff", "s", "1"], ["restore", "s"],
        ["ls", "s", "--what\u{1B}[31m"],
    ])
    func badUsageIsTwo(_ arguments: [String]) throws {
        let run = try ckpt(arguments)
        #expect(run.status == 2)
        #expect(run.output.isEmpty && !run.errors.isEmpty)
        #expect(!run.errors.contains("\u{1B}"))
    }

    @Test func whatIsNotThereIsThree() throws {
        let sample = try Sample()
        #expect(try ckpt("ls", sample.store + "-not").status == 3)
        #expect(try ckpt("ls", sample.store + "/store.json").status == 3)
        #expect(try ckpt("ls", sample.folder.path).status == 3)
        let step = try ckpt("inspect", sample.store, "11")
        #expect(step.status == 3 && step.errors.hasPrefix("ckpt: ") && step.errors.contains("10, 20"))
        #expect(try ckpt("verify", sample.store, "11").status == 3)
        #expect(try ckpt("inspect", sample.store, "--tensor", "nothing.*").status == 3)
        #expect(try ckpt("restore", sample.store, "--tensor", "no", "-o", sample.folder.path + "/out").status == 3)
        #expect(try sample.folder.names(in: "") == ["store"])
    }

    @Test func aDirectoryThatCannotBeListedIsFive() throws {
        let sample = try Sample()
        try FileManager.default.removeItem(atPath: sample.store + "/manifests")
        try Data().write(to: URL(fileURLWithPath: sample.store + "/manifests"))
        #expect(try ckpt("ls", sample.store).status == 5)
    }

    @Test func aStoreOfTheFutureIsSix() throws {
        let sample = try Sample()
        var identity = StoreIdentity(id: .random(), created: 0)
        identity.requiredFeatures = ["telepathy"]
        try Data(identity.encoded(digest: Hashing.digest)).write(to: URL(fileURLWithPath: sample.store + "/store.json"))
        let run = try ckpt("ls", sample.store)
        #expect(run.status == 6 && run.errors.contains("telepathy"))
    }

    @Test func aDamagedIdentityIsOne() throws {
        let sample = try Sample()
        try Data("{}".utf8).write(to: URL(fileURLWithPath: sample.store + "/store.json"))
        #expect(try ckpt("ls", sample.store).status == 1)
    }

    @Test func aFullDiskBehindStandardOutputIsFive() throws {
        let sample = try Sample()
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-c", "\"$0\" ls \"$1\" > /dev/full 2> /dev/null", program.path, sample.store]
        try shell.run()
        try shell.waitForEnd()
        #expect(shell.terminationStatus == 5)
    }

    @Test func hostileNamesDoNoHarm() throws {
        let name = "../../x\n\u{1B}[31mred\u{9B}0m\u{202E}"
        let sample = try Sample(weight: name, runName: "run\u{1B}]0;title\u{7}")
        let target = sample.folder.path + "/out"
        let runs = [
            try ckpt("ls", sample.store), try ckpt("inspect", sample.store), try ckpt("inspect", sample.store, "--json"),
            try ckpt("restore", sample.store, "-o", target, "--json"), try ckpt("diff", sample.store, "10", "20", "--json"),
        ]
        let controls = CharacterSet.controlCharacters.subtracting(CharacterSet(charactersIn: "\n"))
        for run in runs { #expect(run.output.rangeOfCharacter(from: controls) == nil) }
        #expect(runs[1].output.contains("../../x\\u{A}\\u{1B}[31mred"))
        #expect(try runs[2].json().list("tensors").first?.text("name") == name)
        #expect(try sample.folder.names(in: "") == ["out", "store"])
        #expect(
            try sample.folder.names(in: "out")
                == ["00000.bin", "00001.bin", "00002.bin", "index.json", "object-00001.bin"])
    }
}
