import ArgumentParser
import Checkpointing
import Foundation

/// `ckpt VERB STORE [REF ...] [options]`.
@main
struct Ckpt: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ckpt",
        abstract: "Lists, inspects, verifies, restores, compares, imports and exports checkpoints.",
        discussion: """
            STORE is a directory or s3://BUCKET/PREFIX. If CKPT_STORE is set, or the file \
            ~/.config/ckpt/config has a line 'store = DIR', \
            STORE may be omitted; a first argument that is a directory, or a path with a / that is not a file, still overrides it.

            REF selects a checkpoint:
              latest         the newest intact one
              1000           a step (also step-1000, step_001000)
              RUN:1000       a step of the run with this name
              RUN:latest     the newest of this run
              TAG            the checkpoint with this tag
              9f3a           the first 4 or more digits of its id
              best:loss      the smallest value of a metric (best:acc:max: the largest)

            These commands write to a store: import and copy add checkpoints; tag, pin and unpin mark them; rm and prune delete \
            them; clean deletes what a killed writer left; repack shrinks older ones; repair salvages damaged ones.

            Example: ckpt ls runs/first

            Exit codes:
            \(ExitCode.table)
            """,
        version: LibraryVersion.number,
        subcommands: [
            Ls.self, Inspect.self, Cat.self, Find.self, Verify.self, Restore.self, Diff.self,
            Report.self, Doctor.self,
            Import.self, Export.self, Log.self, Stats.self, Tag.self, Pin.self, Unpin.self, Rm.self,
            Prune.self, Clean.self, Repack.self, Repair.self,
            Copy.self, Mirror.self, Watch.self, Bench.self,
        ])

    static func main() {
        CommandProcess.prepare()
        if let mistake = CommandLineText.mistake {
            Output.complain(mistake)
            Foundation.exit(ExitCode.usage.rawValue)
        }
        Foundation.exit(run(Array(CommandLine.arguments.dropFirst())).rawValue)
    }

    private static func run(_ arguments: [String]) -> ExitCode {
        let began = ContinuousClock.now
        let code = execute(arguments)
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        Output.detail("took \(Output.figure(seconds)) s")
        do { try Output.flush() } catch {
            Output.complain(error.description)
            return ExitCode(error.code)
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
            Output.settings = verb.messages.settings
            return try verb.execute()
        } catch let error as CheckpointError {
            Output.drop()
            let code = report(error, asJSON: wantsJSON(arguments))
            if error.code == .cancelled { Interruption.endIfInterrupted() }
            return code
        } catch {
            return report(parsing: error, of: arguments)
        }
    }

    /// Of `bench`, the option has a file.
    private static func wantsJSON(_ arguments: [String]) -> Bool {
        arguments.contains("--json") && arguments.first != Bench.configuration.commandName
    }

    /// Names of the commands.
    private static var verbs: [String] {
        configuration.subcommands.compactMap { $0.configuration.commandName } + ["help"]
    }

    /// With `CKPT_STORE` set, inserts its value into a command line that does not begin with STORE.
    private static func parse(_ arguments: [String]) throws -> any ParsableCommand {
        guard let store = CommonArguments.defaultStore, let verb = arguments.first,
            verb != Bench.configuration.commandName
        else {
            return try parseAsRoot(arguments)
        }
        do { return try parseAsRoot(arguments) } catch {
            if exitCode(for: error).isSuccess || verb.hasPrefix("-") { throw error }
            return try parseAsRoot([verb, store] + arguments.dropFirst())
        }
    }

    private static func report(_ error: CheckpointError, asJSON: Bool) -> ExitCode {
        if asJSON { Output.json(.object([.init("error", .error(error))])) }
        Output.complain(error.description)
        if let cause = error.cause { Output.detail("caused by: \(cause)") }
        return ExitCode(error.code)
    }

    /// `--help` and `--version` end here too.
    private static func report(parsing error: any Error, of arguments: [String]) -> ExitCode {
        var message = fullMessage(for: error)
        guard exitCode(for: error).isSuccess else {
            if let verb = arguments.first, !verb.hasPrefix("-"), !verbs.contains(verb) {
                message = unknownVerb(verb)
            }
            message = withoutFarGuess(message)
            if wantsJSON(arguments) {
                let error = [
                    JSONValue.Member("code", .string("usage")), .init("message", .string(message)),
                ]
                Output.json(.object([.init("error", .object(error))]))
            }
            Output.tell(Output.visible(message, lineFeeds: true) + "\n")
            return .usage
        }
        Output.lines(message)
        return .fine
    }

    /// Removes the suggestion of another option if it is not near: the parser suggests `--utc` for
    /// `--all`.
    private static func withoutFarGuess(_ message: String) -> String {
        let guess = #/Unknown option '-*(?<typed>[^']*)'(?<guess>\. Did you mean '-*(?<near>[^']*)'\?)/#
        guard let found = message.firstMatch(of: guess),
            !isNear(String(found.typed), String(found.near))
        else { return message }
        return message.replacingCharacters(in: found.guess.startIndex..<found.guess.endIndex, with: ".")
    }

    private static func isNear(_ typed: String, _ name: String) -> Bool {
        Nearest.distance(Array(typed.utf8), Array(name.utf8)) <= max(2, typed.utf8.count / 3)
    }

    private static func unknownVerb(_ verb: String) -> String {
        let near = Nearest.byDistance(verb, verbs, atMost: 1).filter { isNear(verb, $0) }
        let guess = near.first.map { " Did you mean ckpt \($0)?" } ?? ""
        return "ckpt: there is no command \(verb).\(guess) ckpt --help lists the commands."
    }
}
