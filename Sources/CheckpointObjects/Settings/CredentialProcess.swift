/// A program that prints credentials: `credential_process` of a profile.
struct CredentialProcess: CustomReflectable {
    /// The command line, split into words as by a shell; no shell runs.
    let command: String
    let environment: [String: String]
    /// The source for errors.
    let source: String
    /// Seconds after which the program is killed.
    var timeout = 60.0

    /// Runs the program.
    ///
    /// - Returns: the credentials.
    /// - Throws: `CredentialError` if it fails, or prints something else.
    func run() throws(CredentialError) -> Credentials {
        guard let words = ShellWords.split(command), let program = words.first,
            !command.utf8.contains(0)
        else {
            throw error("the command line is empty, or a quote in it is not closed")
        }
        let output: [UInt8]
        do {
            output = try ChildProcess.output(
                of: words, environment: environment, timeout: timeout,
                sizeMax: SmallResponse.bodyMax)
        } catch {
            throw self.error(Self.text(error, SafeText.shown(program, hiding: []), timeout))
        }
        return try Credentials.read(output, source: source, version: 1)
    }

    private static func text(
        _ failure: ChildProcess.Failure, _ program: String, _ timeout: Double
    ) -> String {
        switch failure {
        case .notStarted(let number): "\(program) cannot be started (errno \(number))"
        case .timedOut: "\(program) did not end within \(Int(timeout)) s"
        case .tooLarge: "\(program) printed more than \(SmallResponse.bodyMax >> 20) MiB"
        case .failed(let status?): "\(program) failed with exit status \(status)"
        case .failed(nil): "\(program) was ended by a signal"
        }
    }

    private func error(_ problem: String) -> CredentialError {
        CredentialError(
            source, "credential_process: \(problem)",
            "Run the command of the profile in a terminal to see its messages")
    }

    var customMirror: Mirror { Mirror(self, children: [("source", source)]) }
}
