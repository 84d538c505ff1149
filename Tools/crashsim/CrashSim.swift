internal import ArgumentParser

/// Long runs of what the tests try for a few seeds: processes that save, remove, repack, repair,
/// copy and mirror on a file system in memory that loses power at a random operation, again and
/// again on what is left, with everything checked after each crash.
@main
struct CrashSim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crashsim",
        abstract: "Crashes random histories of a store at random operations and checks what is left.",
        discussion: "Example: crashsim --seeds 1000")

    @Option(help: "Number of random histories.")
    var seeds: UInt64 = 200

    @Option(help: "The first seed.")
    var from: UInt64 = 0

    func run() throws {
        var crashes: [Verb: Int] = [:]
        for seed in from..<from + seeds {
            var history = History(seed: seed)
            do { try history.run(&crashes) } catch {
                throw ValidationError("seed \(seed), \(history.lives): \(error)")
            }
        }
        let verbs = crashes.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        print(
            "\(seeds) histories, \(crashes.values.reduce(0, +)) crashes (\(verbs)), "
                + "nothing acknowledged was lost")
    }
}
