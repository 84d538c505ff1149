import Foundation
import TidyRules

/// Checks the rules of a checkout that a program can check.
@main
struct Tidy {
    static func main() throws {
        do {
            try run(Array(CommandLine.arguments.dropFirst()))
        } catch let error as TidyError {
            complain(error.message)
            exit(2)
        }
    }

    private static func run(_ arguments: [String]) throws {
        let rest = Array(arguments.dropFirst())
        switch arguments.first {
        case "graph": try graph(Checkout(rest.first))
        case "list": try list(rest.first ?? "", Checkout(rest.dropFirst().first))
        case "ratchet" where rest.first == "--start":
            try start(rest.dropFirst().first ?? "", Checkout(rest.dropFirst(2).first))
        case "ratchet": try ratchet(Checkout(rest.first))
        case "--help", "-h": print(usage)
        default: try check(Checkout(arguments.first))
        }
    }

    private static let usage = """
        tidy [ROOT]                       prints every violation; exit status 1 if there is any
        tidy graph [ROOT]                 prints the arrows between modules and between rooms
        tidy list RULE [ROOT]             prints every place that a rule with a ratchet counts
        tidy ratchet [ROOT]               lowers the counts in \(Ratchet.path)
        tidy ratchet --start RULE [ROOT]  starts the counts of a new rule
        """

    /// Prints every violation as `path:line: rule: message`.
    private static func check(_ checkout: Checkout) throws {
        let violations = checkTree(try checkout.tree(), try checkout.ratchet())
        for violation in violations {
            print(violation)
        }
        if !violations.isEmpty {
            complain("\(violations.count) violation\(violations.count == 1 ? "" : "s")")
            exit(1)
        }
    }

    private static func graph(_ checkout: Checkout) throws {
        for line in GraphPicture.lines(try checkout.tree()) {
            print(line)
        }
    }

    private static func list(_ name: String, _ checkout: Checkout) throws {
        for violation in try rule(name).violations(in: checkout.tree()) {
            print(violation)
        }
    }

    private static func ratchet(_ checkout: Checkout) throws {
        let listed = try checkout.ratchet()
        try checkout.write(listed.lowered(to: Ratchet(counting: checkout.tree())))
    }

    private static func start(_ name: String, _ checkout: Checkout) throws {
        let started = try checkout.ratchet().starting(
            rule(name).name, at: Ratchet(counting: checkout.tree()))
        try checkout.write(started)
    }

    private static func rule(_ name: String) throws -> RatchetedRule {
        guard let rule = ratchetedRules.first(where: { $0.name == name }) else {
            let known = ratchetedRules.map(\.name).joined(separator: ", ")
            throw TidyError(message: "no rule \"\(name)\" has a ratchet; the rules are \(known)")
        }
        return rule
    }

    private static func complain(_ message: String) {
        FileHandle.standardError.write(Data("tidy: \(message)\n".utf8))
    }
}

/// The command cannot do what it was asked to do.
struct TidyError: Error {
    /// What happened, and what to do.
    let message: String
}
