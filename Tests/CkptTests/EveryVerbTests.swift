import CheckpointTestSupport
import Foundation
import Testing

/// What holds for all verbs alike.
@Suite(.timeLimit(.minutes(20))) struct EveryVerbTests {
    /// Of each verb one line of arguments that a sample takes; `<folder>` stands for its folder.
    static let lines: [[String]] = [
        ["ls", "<store>"], ["log", "<store>", "--graph"], ["stats", "<store>"], ["inspect", "<store>", "--stats"],
        ["cat", "<store>", "10", "cursor"], ["find", "<store>", "model.*"],
        ["diff", "<store>", "10", "20"], ["verify", "<store>"], ["restore", "<store>", "10", "-o", "<folder>/restored"],
        ["export", "<store>", "10", "-o", "<folder>/model.safetensors"],
        ["import", "<store>", "<folder>/array.npy", "--step", "1"], ["tag", "<store>", "10", "first"],
        ["pin", "<store>", "10"], ["unpin", "<store>", "10"], ["prune", "<store>", "--keep-last", "1"],
        ["rm", "<store>", "10"], ["clean", "<store>"], ["repack", "<store>"],
        ["copy", "<store>", "<folder>/copy"], ["mirror", "<store>", "<folder>/mirror"], ["repair", "<store>"], ["doctor", "<store>"],
        ["report", "<store>", "-o", "<folder>/page.html"], ["watch", "<store>", "--once"],
        ["bench", "--store", "<folder>/bench", "--state", "small", "--scale", "0.0005", "--steps", "2", "--every", "1", "--warmup", "0"]
            + ["--compute-seconds", "0.001", "--compute-threads", "1", "--arena", "8"],
    ]

    /// They say nothing of how far they have come: what they do takes no time, or is not counted in bytes.
    static let silent: Set = ["ls", "log", "cat", "tag", "pin", "unpin", "rm", "clean", "doctor", "watch"]

    private func sample(_ line: [String]) throws -> (sample: Sample, arguments: [String]) {
        let sample = try Sample()
        try sample.folder.write(numpyFile, to: "array.npy")
        return (sample, line.map {
            $0.replacingOccurrences(of: "<folder>", with: sample.folder.path).replacingOccurrences(of: "<store>", with: sample.store)
        })
    }

    /// Two floats.
    private var numpyFile: [UInt8] {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".padding(toLength: 117, withPad: " ", startingAt: 0)
        return [0x93] + Array("NUMPY\u{1}\u{0}v\u{0}\(header)\nabcdefgh".utf8)
    }

    @Test func theListIsThatOfTheProgram() throws {
        let help = try ckpt("--help").output.components(separatedBy: "SUBCOMMANDS:")[1]
        let verbs = help.split(separator: "\n").filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") }
            .compactMap { $0.split(separator: " ").first.map(String.init) }.filter { $0 != "See" }
        #expect(verbs.sorted() == Self.lines.map { $0[0] }.sorted())
    }

    @Test(arguments: lines.map { $0[0] })
    func thereIsAnExampleAndAGoldenFileOfEachKind(_ verb: String) throws {
        let help = try ckpt(verb, "--help")
        #expect(help.status == 0 && help.output.contains("Example: ckpt \(verb) ") && help.output.contains("--json"))
        let golden = Set(try FileManager.default.contentsOfDirectory(atPath: Golden.folder.path))
        #expect(golden.contains("\(verb).txt") && golden.contains("\(verb).json"))
    }

    @Test(arguments: ["prune", "rm", "repack", "repair", "copy"])
    func whatDeletesOrWritesMuchCanBeTriedFirst(_ verb: String) throws {
        let (sample, arguments) = try sample(Self.lines.first { $0[0] == verb } ?? [])
        let before = try sample.folder.trace()
        #expect(try ckpt(arguments + ["--dry-run"]).status == 0)
        #expect(try sample.folder.trace() == before)
    }

    @Test(arguments: lines)
    func onATerminalOnlyProgressIsMore(_ line: [String]) throws {
        let (piped, shown) = (try sample(line), try sample(line))
        let inPipe = try ckpt(piped.arguments)
        let onTerminal = try onTerminal(shown.arguments, ["NO_COLOR": "1"])
        #expect(inPipe.status == onTerminal.status, "\(onTerminal)")
        #expect(!inPipe.output.contains("\u{1B}") && !inPipe.errors.contains("\u{1B}"))
        // The line that comes and goes is the only thing that moves the cursor, and there is no colour.
        let parts = onTerminal.output.components(separatedBy: "\u{1B}[K")
        #expect(!parts.joined().contains("\u{1B}"))
        #expect((parts.count > 1) != Self.silent.contains(line[0]), "\(onTerminal)")
        let said = Golden(piped.sample).normalized(inPipe.output + inPipe.errors)
        #expect(Golden(shown.sample).normalized(textOnly(parts)) == said || line[0] == "bench")
    }

    /// What is left when each line of progress has been written over by the next.
    private func textOnly(_ parts: [String]) -> String {
        guard parts.count > 1 else { return parts[0].replacingOccurrences(of: "\r\n", with: "\n") }
        return parts.map { part in
            guard let carriage = part.range(of: "\r", options: .backwards), part[carriage.upperBound...].first != "\n" else { return part }
            return String(part[..<carriage.lowerBound])
        }.joined().replacingOccurrences(of: "\r\n", with: "\n")
    }
}

/// Runs the program on a terminal, which script(1) makes; both of its outputs go there.
func onTerminal(_ arguments: [String], _ environment: [String: String] = [:]) throws -> Run {
    let line = ([program.path] + arguments).map { "'\($0)'" }.joined(separator: " ")
    return try execute(URL(fileURLWithPath: "/usr/bin/script"), ["-qec", line, "/dev/null"], environment)
}
