import ArgumentParser
import Checkpointing

/// The arguments of every verb: how much it prints, and in which form.
struct MessageArguments: ParsableArguments {
    @Flag(name: [.short, .long], help: "Prints results and errors: no warnings, no progress.")
    var quiet = false

    @Flag(name: [.short, .long], help: "Prints full ids, causes of errors, and the time taken.")
    var verbose = false

    @Flag(help: "Prints times in UTC (default: local time).")
    var utc = false

    var settings: OutputSettings {
        let chosen = UserConfiguration.current
        return OutputSettings(
            isQuiet: quiet || chosen.isQuiet, isVerbose: verbose, usesUTC: utc || chosen.usesUTC)
    }
}

/// The arguments of every verb on a store.
struct CommonArguments: ParsableArguments {
    @Argument(
        help: "Directory or s3://BUCKET/PREFIX of the store (default: CKPT_STORE).",
        completion: .directory)
    var store: String

    @Flag(help: "Prints one JSON object (see Formats/cli-json.md).")
    var json = false

    @OptionGroup var messages: MessageArguments

    func validate() throws {
        try Self.check(store)
        _ = try StoreAddress(store)
    }

    func open() throws -> CheckpointStore {
        try StoreAddress(store).open(for: .reading)
    }
}
