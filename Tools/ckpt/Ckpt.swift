public import ArgumentParser
public import Checkpointing
import Foundation

/// `ckpt VERB STORE [REF ...] [options]`.
@main
struct Ckpt: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ckpt",
        abstract: "Lists, inspects, verifies, restores, compares, imports and exports checkpoints; and measures saving.",
        discussion: """
            STORE is the directory of a store. REF is latest, a step (1000, step-1000, step_001000), or the first 4 or \
            more digits of a checkpoint's id. Nothing here ever writes to a store, but for import, which \
            adds a checkpoint, repack, which makes history smaller, repair, which puts damage aside, and bench, which makes a \
            store of its own.

            Example: ckpt ls runs/first

            Exit codes:
            \(ExitCode.table)
            """,
        version: Version.number,
        subcommands: [
            Ls.self, Inspect.self, Verify.self, Restore.self, Diff.self, Report.self, Repair.self, Import.self, Export.self, Repack.self,
            Doctor.self, Bench.self,
        ])

    static func main() { Foundation.exit(run(Array(CommandLine.arguments.dropFirst())).rawValue) }

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
            var command = try parseAsRoot(arguments)
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

    private static func report(_ error: CheckpointError) -> ExitCode {
        Output.complain(error.description)
        return ExitCode(error.code)
    }

    /// `--help` and `--version` end here too.
    private static func report(parsing error: any Error) -> ExitCode {
        let message = fullMessage(for: error)
        guard exitCode(for: error).isSuccess else {
            FileHandle.standardError.write(Data((Output.visible(message, lineFeeds: true) + "\n").utf8))
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
    @Argument(help: "The store's directory.")
    var store: String

    @Flag(help: "Prints one JSON object (Formats/cli-json.md).")
    var json = false

    func open() throws -> CheckpointStore { try CheckpointStore.open(store, for: .reading) { Output.warn($0) } }
}

extension CheckpointReference: ExpressibleByArgument {
    /// REF on the command line.
    public init?(argument: String) { self.init(argument) }
}

extension CheckpointStore {
    /// The manifest that is meant; damaged ones that `latest` passed over are told of.
    func find(_ reference: CheckpointReference) throws -> (manifest: Manifest, skipped: [CheckpointError]) {
        let (loaded, skipped) = try load(reference)
        for error in skipped { Output.warn("passed over: \(error)") }
        return (loaded.manifest, skipped)
    }
}
