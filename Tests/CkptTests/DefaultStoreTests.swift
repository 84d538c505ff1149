import CheckpointTestSupport
import Foundation
import Testing

/// `CKPT_STORE`, and what shells complete.
@Suite(.timeLimit(.minutes(20))) struct DefaultStoreTests {
    @Test func theStoreMayBeLeftOut() throws {
        let (sample, other) = (try Sample(), try Sample(weight: "other.weight"))
        func run(_ arguments: String...) throws -> Run { try ckpt(arguments, environment: ["CKPT_STORE": sample.store]) }
        #expect(try run("ls", "--json", "--limit", "1").json().list("checkpoints").map { $0.integer("step") } == [20])
        #expect(try run("inspect", "10", "--json").json().integer("step") == 10)
        #expect(try run("inspect", "--json").json().integer("step") == 20)
        #expect(try run("diff", "10", "20").status == 1)
        #expect(try run("verify", "--quick").status == 0)
        #expect(try run("tag", "10", "first").status == 0)
        #expect(try run("tag").output.contains("first"))
        #expect(try run("restore", "first", "-o", sample.folder.path + "/out").status == 0)
        #expect(try run("prune", "--keep-last", "2", "--dry-run").status == 0)
        // A path is a store, and so is a directory.
        #expect(try run("inspect", other.store, "--json").output.contains("other.weight"))
        #expect(try run("ls", other.store + "-not").status == 3)
        let there = try execute(
            URL(fileURLWithPath: "/bin/sh"), ["-c", "cd \"$1\" && \"$0\" inspect store --json", program.path, other.folder.path],
            ["CKPT_STORE": sample.store])
        #expect(there.output.contains("other.weight"))
        #expect(try run("ls", "no-such").status == 2)
        #expect(try run("--help").status == 0 && run("ls", "--help").status == 0)
    }

    @Test func anImportedFileIsNoStore() throws {
        let sample = try Sample()
        let file = sample.folder.path + "/a.safetensors"
        #expect(try ckpt("export", sample.store, "10", "-o", file).status == 0)
        let run = try ckpt(["import", file, "--step", "99", "--json"], environment: ["CKPT_STORE": sample.folder.path + "/new"])
        #expect(run.status == 0, "\(run.errors)")
        let line = "cd \"$1\" && cp a.safetensors b.safetensors && \"$0\" import a.safetensors b.safetensors --step 1"
        let two = try execute(
            URL(fileURLWithPath: "/bin/sh"), ["-c", line, program.path, sample.folder.path], ["CKPT_STORE": sample.folder.path + "/new"])
        #expect(two.errors.contains("is also in a.safetensors"), "the two files are joined, and hold the same names: \(two)")
        #expect(try ckpt("ls", sample.folder.path + "/new", "--json").json().list("checkpoints").count == 1)
    }

    @Test func withoutTheVariableTheStoreMustBeGiven() throws {
        for environment in [[:], ["CKPT_STORE": ""]] {
            let run = try ckpt(["ls"], environment: environment)
            #expect(run.status == 2 && run.errors.contains("store"))
        }
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionScriptsAreMade(_ shell: String) throws {
        let run = try ckpt("--generate-completion-script", shell)
        #expect(run.status == 0 && run.output.count > 1000)
        for verb in ["prune", "inspect", "tag"] { #expect(run.output.contains(verb)) }
    }

    @Test func bashCompletesVerbsTagsAndSteps() throws {
        let sample = try Sample()
        #expect(try ckpt("tag", sample.store, "10", "release-1").status == 0)
        let script = """
            source <("$0" --generate-completion-script bash)
            complete_line() {
                COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
                $(complete -p ckpt | sed 's/.*-F \\([^ ]*\\).*/\\1/') ckpt "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
                echo "${COMPREPLY[@]}"
            }
            PATH="$(dirname "$0"):$PATH"
            complete_line ckpt pr
            complete_line ckpt tag "$1" --delete ""
            complete_line ckpt inspect "$1" ""
            """
        let run = try execute(URL(fileURLWithPath: "/bin/bash"), ["-c", script, program.path, sample.store])
        let lines = run.output.split(separator: "\n").map(String.init)
        #expect(lines.first?.contains("prune") == true, "\(run)")
        #expect(lines.dropFirst().first == "release-1", "\(run)")
        #expect(lines.last?.contains("latest release-1 20 10") == true, "\(run)")
    }
}
