internal import CheckpointInterchange
public import ArgumentParser
public import CheckpointFormat
import Checkpointing

struct Tag: Verb {
    static let configuration = CommandConfiguration(
        commandName: "tag", abstract: "Names checkpoints, or lists the names.",
        discussion: """
            Example: ckpt tag runs/first best:loss release-1

            A tag names one checkpoint, everywhere where REF stands, and keeps it from being removed by prune and by a trainer's own \
            retention. Without arguments all tags are listed; ckpt tag STORE --delete TAG takes one away. A tag has 1 to 128 \
            letters, digits, dots, - and _, and must not read as a step, as the digits of an id, or as latest. Safe beside a trainer.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The checkpoint.", valueName: "ref"))
    var reference: CheckpointReference?

    @Argument(help: ArgumentHelp("Its tag.", valueName: "name"))
    var name: TagName?

    @Option(help: ArgumentHelp("Takes this tag away.", valueName: "tag"), completion: .tags)
    var delete: TagName?

    @Flag(help: "Moves the tag, if another checkpoint has it.")
    var force = false

    func validate() throws {
        guard (reference == nil) == (name == nil) else { throw ValidationError("Give REF and NAME, or neither to list the tags.") }
        guard delete == nil || reference == nil else { throw ValidationError("--delete takes the tag alone.") }
    }

    func execute() throws -> ExitCode {
        if let delete { return try remove(delete) }
        guard let reference, let name else { return try list() }
        let (tag, isChanged) = try common.openForMaintaining().tag(reference, name, force: force)
        if common.json {
            Output.json(tag.json.adding([.init("changed", .bool(isChanged))]))
        } else {
            Output.line("\(tag.tag) \(isChanged ? "is now" : "was already") step \(tag.step) (\(Output.short(tag.id)))")
        }
        return .fine
    }

    private func remove(_ tag: TagName) throws -> ExitCode {
        try common.openForMaintaining().removeTag(tag)
        if common.json {
            Output.json(.object([.init("tag", .string(tag.description)), .init("deleted", .bool(true))]))
        } else {
            Output.line("\(tag) is gone; the checkpoint is still there")
        }
        return .fine
    }

    private func list() throws -> ExitCode {
        let tags = try common.open().tags()
        if common.json {
            Output.json(.object([.init("tags", .array(tags.map(\.json)))]))
        } else {
            var table = Table(["TAG", "STEP", "ID", "RUN", "NOTE"])
            for tag in tags {
                let note = tag.isDangling ? "its checkpoint is there no more" : ""
                table.add([tag.tag.description, String(tag.step), Output.short(tag.id), Output.short(tag.run), note])
            }
            table.print()
            if tags.isEmpty { Output.line("no tags") }
        }
        return .fine
    }
}

extension CheckpointTag {
    fileprivate var json: JSONValue {
        .object([
            .init("tag", .string(tag.description)), .init("id", .hex(id)), .init("run", .hex(run)), .init("step", .count(step)),
            .init("dangling", .bool(isDangling)),
        ])
    }
}

extension TagName: ExpressibleByArgument {
    /// A tag on the command line.
    public init?(argument: String) { self.init(argument) }
}
