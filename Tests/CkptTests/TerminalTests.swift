import Foundation
import Testing

/// What the verbs that find and keep checkpoints show on a terminal, which script(1) makes, and in a pipe.
@Suite struct TerminalTests {
    private func onTerminal(_ arguments: [String], _ environment: [String: String] = [:]) throws -> Run {
        let line = ([program.path] + arguments).map { "'\($0)'" }.joined(separator: " ")
        return try execute(URL(fileURLWithPath: "/usr/bin/script"), ["-qec", line, "/dev/null"], environment)
    }

    @Test(arguments: [["prune", "--keep-last", "1", "--dry-run"], ["stats"], ["copy", "--dry-run"]])
    func progressIsShownOnATerminalOnly(_ verb: [String]) throws {
        let sample = try Sample()
        let more = verb[0] == "copy" ? [sample.folder.path + "/copy"] : []
        let arguments = [verb[0], sample.store] + more + verb.dropFirst()
        let (piped, shown) = (try ckpt(arguments), try onTerminal(arguments, ["NO_COLOR": "1"]))
        #expect(piped.status == 0 && shown.status == 0, "\(shown)")
        #expect(!piped.output.contains("\u{1B}") && piped.errors.isEmpty)
        // The line that comes and goes is the only thing that moves the cursor, and there is no colour.
        #expect(shown.output.contains(" of 2 ...\u{1B}[K"), "\(shown)")
        #expect(!shown.output.replacingOccurrences(of: "\u{1B}[K", with: "").contains("\u{1B}"))
        let text = shown.output.components(separatedBy: "\u{1B}[K").last?.replacingOccurrences(of: "\r\n", with: "\n")
        #expect(text == piped.output)
    }

    @Test(arguments: [["ls"], ["log", "--graph"], ["tag"], ["watch", "--once"]])
    func othersSayTheSameOnATerminal(_ verb: [String]) throws {
        let sample = try Sample()
        let arguments = [verb[0], sample.store] + verb.dropFirst()
        #expect(try onTerminal(arguments).output.replacingOccurrences(of: "\r\n", with: "\n") == ckpt(arguments).output)
    }
}
