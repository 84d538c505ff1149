internal import CheckpointInterchange
import ArgumentParser
import CheckpointFormat
import Checkpointing

struct Pin: Verb {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Keeps a checkpoint from being removed by retention.",
        discussion: """
            Example: ckpt pin runs/first 1000

            Neither prune nor a trainer's own retention removes a checkpoint that is pinned. Safe beside a trainer.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The checkpoint.", valueName: "ref"))
    var reference: CheckpointReference

    func execute() throws -> ExitCode {
        let (summary, isChanged) = try common.openForMaintaining().pin(reference)
        summary.printPinned(isChanged: isChanged, asJSON: common.json)
        return .fine
    }
}

struct Unpin: Verb {
    static let configuration = CommandConfiguration(
        commandName: "unpin", abstract: "Undoes pin.",
        discussion: """
            Example: ckpt unpin runs/first 1000

            Removes nothing: retention may, from now on, unless the checkpoint has a tag.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The checkpoint.", valueName: "ref"))
    var reference: CheckpointReference

    func execute() throws -> ExitCode {
        let (summary, isChanged) = try common.openForMaintaining().unpin(reference)
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
