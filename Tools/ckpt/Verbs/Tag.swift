internal import CheckpointInterchange
public import ArgumentParser
public import Checkpointing

struct Tag: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "tag", abstract: "Names checkpoints with tags, or lists the tags.",
        usage: "ckpt tag STORE [TAG... [REF]] [options]",
        discussion: """
            Example: ckpt tag runs/first release-1 best:loss
            Example: ckpt tag runs/first stable paper-v2 1000

            Gives the tags to the checkpoint REF, which comes last; a single tag goes to the newest checkpoint. Without tags, lists \
            all. A tagged checkpoint is protected: neither prune nor a trainer's retention deletes it. A tag has 1 to 128 letters, \
            digits, dots, - and _, and must not look like a step, an id or latest. Safe while a trainer is running.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The tags, then the checkpoint.", valueName: "tag> ... <ref"), completion: .references)
    var arguments: [String] = []

    @Option(help: ArgumentHelp("Deletes this tag, not its checkpoint; repeatable.", valueName: "tag"), completion: .tags)
    var delete: [TagName] = []

    @Flag(help: "Moves tags from another checkpoint.")
    var force = false

    func validate() throws {
        guard delete.isEmpty || arguments.isEmpty else { throw ValidationError("--delete cannot be combined with TAG or REF.") }
        if !arguments.isEmpty { _ = try request }
    }

    /// The tags and their checkpoint, as the arguments name them.
    private var request: (tags: [TagName], reference: CheckpointReference) {
        get throws {
            var names = arguments
            // REF before TAG, as in version 0.1, if only that makes sense.
            if names.count == 2, TagName(names[0]) == nil, TagName(names[1]) != nil { names.swapAt(0, 1) }
            var reference = CheckpointReference.latest
            if names.count > 1 {
                let last = names.removeLast()
                guard let named = CheckpointReference(last) else {
                    throw ValidationError("\(last) is not a checkpoint: REF comes last; see ckpt --help.")
                }
                reference = named
            }
            let tags = try names.map { name in
                guard let tag = TagName(name) else { throw ValidationError("\(name) cannot be a tag; see ckpt tag --help.") }
                return tag
            }
            return (tags, reference)
        }
    }

    func execute() throws -> ExitCode {
        if !delete.isEmpty { return try remove() }
        guard !arguments.isEmpty else { return try list() }
        let (tags, reference) = try request
        let store = try common.openForMaintaining()
        for name in tags {
            let (tag, isChanged) = try Interruption.cancelling { _ in
                try store.tag(reference, name, force: force)
            }
            if common.json {
                Output.json(tag.json.adding([.init("changed", .bool(isChanged))]))
            } else {
                Output.line("\(tag.tag) \(isChanged ? "is now" : "was already") step \(tag.step) (\(Output.short(tag.id)))")
            }
        }
        return .fine
    }

    private func remove() throws -> ExitCode {
        let store = try common.openForMaintaining()
        for tag in delete {
            try Interruption.cancelling { _ in try store.removeTag(tag) }
            if common.json {
                Output.json(.object([.init("tag", .string(tag.description)), .init("deleted", .bool(true))]))
            } else {
                Output.line("deleted tag \(tag); its checkpoint stays")
            }
        }
        return .fine
    }

    private func list() throws -> ExitCode {
        let store = try common.open()
        let tags = try store.tags()
        if common.json {
            Output.json(.object([.init("tags", .array(tags.map(\.json)))]))
        } else {
            var table = Table(["TAG", "STEP", .init("ID", rank: 2), .init("RUN", rank: 1, shortest: 8), .init("NOTE", shortest: 10)])
            let names = tags.map { ManifestName(run: $0.run, step: $0.step) }
            // Of a checkpoint that is gone or cannot be read, the name is unknown.
            let runs = try store.summaries(of: names).map { (try? $0.get())?.runName }
            for (tag, run) in zip(tags, runs) {
                let note = tag.isDangling ? "its checkpoint was deleted" : ""
                table.add([tag.tag.description, String(tag.step), Output.short(tag.id), run ?? "?", note])
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
