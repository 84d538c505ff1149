import ArgumentParser

/// A verb of `ckpt`, which returns an exit code.
protocol Verb: ParsableCommand {
    var messages: MessageArguments { get }
    func execute() throws -> ExitCode
}

extension Verb {
    func run() throws {}
}

/// A verb that works on a store.
protocol StoreVerb: Verb {
    var common: CommonArguments { get }
}

extension StoreVerb {
    var messages: MessageArguments { common.messages }
}
