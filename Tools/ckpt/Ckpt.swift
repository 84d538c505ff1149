public import ArgumentParser
import CheckpointIO
public import Checkpointing
import Foundation

/// `ckpt VERB STORE [REF ...] [options]`.
@main
struct Ckpt: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ckpt",
        abstract: "Lists, inspects, verifies, restores, compares, imports and exports checkpoints; and measures saving.",
        discussion: """
            STORE is the directory of a store. It may be left out where CKPT_STORE is set: the first argument is then taken for STORE \
            only if it is a directory, or a path (with a /) that is no file. REF is latest, a step (1000, step-1000, step_001000; the \
            newest of several runs), RUN:STEP, RUN:latest, a tag, the first 4 or more digits of a checkpoint's id, or best:METRIC, \
            the checkpoint with the smallest value (best:METRIC:max, the largest). Only these write to a store: import and copy add \
            checkpoints; tag, pin and unpin mark them; rm and prune delete them; clean deletes what a killed writer left; repack \
            shrinks older ones; repair puts damage aside; bench makes a store of its own.

            Example: ckpt ls runs/first

            Exit codes:
            \(ExitCode.table)
            """,
        version: LibraryVersion.number,
        subcommands: [
            Ls.self, Inspect.self, Verify.self, Restore.self, Diff.self, Report.self, Doctor.self, Import.self, Export.self,
            Log.self, Stats.self, Tag.self, Pin.self, Unpin.self, Rm.self, Prune.self, Clean.self, Repack.self, Repair.self,
            Copy.self, Watch.self, Bench.self,
        ])

    static func main() {
        // A checkpoint may have more segments, and an import more shards, than the 1024 files that systems allow at first.
        DescriptorLimit.raise()
        Foundation.exit(run(Array(CommandLine.arguments.dropFirst())).rawValue)
    }

    private static func run(_ arguments: [String]) -> ExitCode {
        let code = execute(arguments)
        do { try Output.flush() } catch {
            Output.complain("standard output cannot be written: \(error.localizedDescription)")
            return .inputOutput
        }
        return code
    }

    private static func execute(_ arguments: [String]) -> ExitCode {
        do {
            var command = try parse(arguments)
            guard let verb = command as? any Verb else {
                try command.run()
                return .fine
            }
            return try verb.execute()
        } catch let error as CheckpointError {
            Output.drop()
            return report(error)
        } catch {
            return report(parsing: error)
        }
    }

    /// With `CKPT_STORE` set, a line that does not begin with STORE is read as if the variable's value stood there.
    private static func parse(_ arguments: [String]) throws -> any ParsableCommand {
        guard let store = CommonArguments.defaultStore, let verb = arguments.first, verb != Bench.configuration.commandName else {
            return try parseAsRoot(arguments)
        }
        do { return try parseAsRoot(arguments) } catch {
            if exitCode(for: error).isSuccess || verb.hasPrefix("-") { throw error }
            return try parseAsRoot([verb, store] + arguments.dropFirst())
        }
    }

    private static func report(_ error: CheckpointError) -> ExitCode {
        Output.complain(error.description)
        return ExitCode(error.code)
    }

    /// `--help` and `--version` end here too.
    private static func report(parsing error: any Error) -> ExitCode {
        let message = fullMessage(for: error)
        guard exitCode(for: error).isSuccess else {
            Output.tell(Output.visible(message, lineFeeds: true) + "\n")
            return .usage
        }
        print(message)
        return .fine
    }
}

/// A verb of `ckpt`: tells how it ended.
protocol Verb: ParsableCommand {
    func execute() throws -> ExitCode
}

extension Verb {
    func run() throws {}
}

/// What every verb has.
struct CommonArguments: ParsableArguments {
    @Argument(help: "The store's directory; CKPT_STORE may stand for it.", completion: .directory)
    var store: String

    @Flag(help: "Prints one JSON object (Formats/cli-json.md).")
    var json = false

    func validate() throws { try Self.check(store) }

    func open() throws -> CheckpointStore { try CheckpointStore.open(store, for: .reading) { Output.warn($0) } }
}

extension CheckpointReference: ExpressibleByArgument {
    public static var defaultCompletionKind: CompletionKind { .references }

    /// REF on the command line.
    public init?(argument: String) { self.init(argument) }
}

extension CheckpointStore {
    /// The manifest that is meant; damaged ones that `latest` passed over are told of.
    func find(_ reference: CheckpointReference) throws -> (manifest: Manifest, skipped: [CheckpointError]) {
        let found = try load(reference) { Output.warn("passed over: \($0)") }
        if reference == .latest { tellRun(of: found.manifest) }
        return found
    }

    /// Says whose checkpoint `latest` is, where the newest ones are of several runs.
    private func tellRun(of manifest: Manifest) {
        // The list is only for this line.
        let newest = ((try? newest(64)) ?? []).compactMap { try? $0.get() }
        let names = Set(newest.map(\.runName))
        guard names.count > 1, let run = newest.first(where: { $0.id == manifest.id })?.runName else { return }
        Output.warn("latest is step \(manifest.step) of run \(run), one of \(names.count) runs; RUN:latest names another")
    }
}
