internal import CheckpointInterchange
import ArgumentParser
import Checkpointing

struct Pin: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Protects a checkpoint from deletion.",
        usage: "ckpt pin STORE REF [options]",
        discussion: """
            Example: ckpt pin runs/first 1000

            Neither prune nor a trainer's retention deletes a pinned checkpoint. Safe while a trainer is running.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The checkpoint; see ckpt --help.", valueName: "ref"))
    var reference: CheckpointReference

    func execute() throws -> ExitCode {
        let (summary, isChanged) = try Interruption.cancelling { _ in
            try common.openForMaintaining().pin(reference)
        }
        summary.printPinned(isChanged: isChanged, asJSON: common.json)
        return .fine
    }
}

struct Unpin: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "unpin", abstract: "Removes the protection of a pinned checkpoint.",
        usage: "ckpt unpin STORE REF [options]",
        discussion: """
            Example: ckpt unpin runs/first 1000

            Deletes nothing itself. Afterwards prune and a trainer's retention may delete the checkpoint, unless it has a tag.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The checkpoint; see ckpt --help.", valueName: "ref"))
    var reference: CheckpointReference

    func execute() throws -> ExitCode {
        let (summary, isChanged) = try Interruption.cancelling { _ in
            try common.openForMaintaining().unpin(reference)
        }
        summary.printPinned(isChanged: isChanged, asJSON: common.json)
        return .fine
    }
}

extension CheckpointSummary {
    fileprivate func printPinned(isChanged: Bool, asJSON: Bool) {
        guard asJSON else {
            let what = isPinned ? "pinned" : "not pinned"
            return Output.line("step \(step) (\(Output.short(id))) \(isChanged ? "is now" : "was already") \(what)")
        }
        Output.json(
            JSONValue.label(id, run, step).adding([
                .init("tags", .strings(tags)), .init("pinned", .bool(isPinned)), .init("changed", .bool(isChanged)),
            ]))
    }
}
