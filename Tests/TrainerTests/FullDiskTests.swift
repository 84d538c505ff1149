import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// Small real file systems, mounted in a namespace of their own, so that nothing outside sees them.
@Suite("Full and read-only file systems", .timeLimit(.minutes(20)))
struct FullDiskTests {
    /// Runs a script with `$DISK`, an empty file system of 2 MiB, and `train`, which trains with a
    /// store on it.
    private static func shell(_ script: String) throws -> ProcessOutcome {
        try Requirement.mount.check()
        let trainer = """
            set -u
            train() { '\(try Program("ReferenceTrainer").path)' --store "$DISK/store" --model tiny \
                --batch 2 --arena 1 --compression none "$@"; }

            """
        return try SmallDisk.run(trainer + script, size: "2m", in: TemporaryDirectory())
    }

    @Test(
        "full: the save fails with a clear error, training goes on, what was committed stays, and room heals it",
        .enabled(if: Requirement.mount.isTested, "\(Requirement.mount.reason)"))
    func fullDisk() throws {
        let outcome = try Self.shell(
            """
            train --steps 30 --every 5; echo "status $?"
            ls "$DISK/store/staging" | wc -l
            echo "--- resume while full"
            train --steps 30 --every 30; echo "status $?"
            echo "--- make room"
            mount -o remount,size=16m "$DISK"
            train --steps 40 --every 5; echo "status $?"
            """)
        let parts = outcome.output.components(separatedBy: "--- ")
        try #require(parts.count == 3, "\(outcome.output)")
        let first = TrainerReport(parts[0].split(separator: "\n").map(String.init))
        #expect(!first.committed.isEmpty && first.committed.count < 6, "\(outcome.output)")
        #expect(parts[0].contains("ckpt prune") && parts[0].contains("Free space"), "\(outcome.output)")
        #expect(parts[0].contains("finished at step 30"))
        #expect(parts[1].contains("resumed from step \(first.committed.max() ?? 0)"), "\(outcome.output)")
        #expect(parts[2].contains("committed step 40"), "\(outcome.output)")
        #expect(parts[2].hasSuffix("status 0\n"), "\(outcome.output)")
    }

    @Test(
        "full of what an earlier process has kept: the first save fails, and makes room for the next",
        .enabled(if: Requirement.mount.isTested, "\(Requirement.mount.reason)"))
    func fullOfOlder() throws {
        // With compression, it is not known before how much a first save needs.
        let outcome = try Self.shell(
            """
            mount -o remount,size=16m "$DISK"
            train --steps 30 --every 5 --compression auto > /dev/null; echo "status $?"
            cat /dev/zero > "$DISK/fill" 2> /dev/null
            echo "--- keeping fewer"
            train --steps 430 --every 100 --compression auto --keep-last 2
            ls "$DISK/store/manifests" | wc -l
            """)
        let parts = outcome.output.components(separatedBy: "--- ")
        try #require(parts.count == 2 && parts[0].contains("status 0"), "\(outcome.output)")
        #expect(parts[1].contains("save of step 100 failed"), "\(outcome.output)")
        #expect(parts[1].contains("committed step 400"), "\(outcome.output)")
        #expect(parts[1].contains("committed step 430"), "\(outcome.output)")
        #expect(parts[1].hasSuffix("\n2\n"), "\(outcome.output)")
    }

    /// A program of users, which does not prepare for the signal.
    @Test("a limit on file sizes: saves fail with a clear error, and no signal ends the trainer")
    func fileSizeLimit() throws {
        let directory = try TemporaryDirectory()
        let arguments = trainerArguments(store: directory.appending("store"), steps: 4, every: 2)
        // In blocks of 512 bytes: 32 KiB.
        let script = "ulimit -f 64; exec \"$0\" \"$@\""
        let outcome = try Program(unchecked: "/bin/sh").run(
            ["-c", script, Program("ReferenceTrainer").path] + arguments, in: directory)
        #expect(!outcome.wasKilled && outcome.status == 1, "\(outcome.output)")
        #expect(outcome.output.contains("finished at step 4") && outcome.output.contains("ulimit -f"), "\(outcome.output)")
        #expect(try directory.names(in: "store/staging").isEmpty)
    }

    @Test(
        "read-only: a writer is refused by name, a reader restores",
        .enabled(if: Requirement.mount.isTested, "\(Requirement.mount.reason)"))
    func readOnly() throws {
        let directory = try TemporaryDirectory()
        let trainer = try Program("ReferenceTrainer").path
        let ckpt = URL(fileURLWithPath: trainer).deletingLastPathComponent()
            .appendingPathComponent("ckpt").path
        let verbs = [
            "tag STORE good 5", "pin STORE 5", "rm STORE 5", "prune STORE --keep-last 1",
            "repack STORE", "clean STORE", "repair STORE", "import STORE weights.safetensors",
            "copy STORE \"$DISK/other\"", "export STORE -o \"$DISK/out.safetensors\"",
            "restore STORE -o \"$DISK/out\"",
        ]
        let outcome = try Self.shell(
            """
            cd '\(directory.path)'
            mount -o remount,size=16m "$DISK"
            train --steps 10 --every 5 >/dev/null
            '\(ckpt)' export "$DISK/store" -o weights.safetensors >/dev/null
            mount -o remount,ro "$DISK"
            train --steps 20 --every 5; echo "status $?"
            '\(ckpt)' restore "$DISK/store" -o restored >/dev/null 2>&1; echo "restore $?"
            '\(ckpt)' verify "$DISK/store" --all >/dev/null 2>&1; echo "verify $?"
            \(verbs.map { verb in
                let arguments = verb.replacingOccurrences(of: "STORE", with: "\"$DISK/store\"")
                let code = "grep -o '\"code\":\"[a-zA-Z]*\"'"
                return "echo '\(verb.split(separator: " ")[0])' $('\(ckpt)' \(arguments) --json 2>/dev/null | \(code))"
            }.joined(separator: "\n"))
            """)
        #expect(outcome.output.contains("Check permissions and mount options"), "\(outcome.output)")
        #expect(outcome.output.contains("status ") && !outcome.output.contains("status 0"))
        #expect(outcome.output.contains("restore 0\nverify 0\n"), "\(outcome.output)")
        for verb in verbs.compactMap({ $0.split(separator: " ").first }) {
            #expect(
                outcome.output.contains("\(verb) \"code\":\"readOnly\""),
                "\(verb): \(outcome.output)")
        }
    }
}

extension Program {
    /// A program of the system.
    init(unchecked path: String) { self.path = path }
}
