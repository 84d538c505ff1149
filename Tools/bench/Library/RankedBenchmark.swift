internal import CheckpointFormat
package import Checkpointing
internal import Foundation

/// The `ckpt bench loop --ranks N` run: N processes train one state, data-parallel with ZeRO-1, and
/// save it together.
///
/// The processes wait for each other at the beginning of each phase: each prints a line, and goes on
/// when it reads one.
package struct RankedBenchmark {
    private let settings: Settings
    private let executable: String
    private let arguments: [String]

    /// Creates a benchmark.
    ///
    /// - Parameters:
    ///   - settings: settings whose `mistake` is nil, for several ranks.
    ///   - executable: the program that runs one rank.
    ///   - arguments: its arguments; those that name the rank are added.
    package init(_ settings: Settings, executable: String, arguments: [String]) {
        precondition(settings.mistake == nil && settings.ranks > 1)
        (self.settings, self.executable, self.arguments) = (settings, executable, arguments)
    }

    /// Runs the benchmark. Creates the store, and removes it at the end unless the settings keep
    /// it.
    ///
    /// - Parameter progress: called with the name of each phase when it begins.
    /// - Returns: the report.
    /// - Throws: `CheckpointError` with code `misuse` if the store's directory is in use; code `io`
    ///   if a process cannot be started or fails.
    package func run(
        progress: (String) -> Void = { _ in }
    ) throws(CheckpointError) -> RankedReport {
        try BenchmarkStore(settings).requireNew()
        defer { if !settings.keepsStore { BenchmarkStore(settings).remove() } }
        return try translating("benchmark") { try measure(progress) }
    }

    private func measure(_ progress: (String) -> Void) throws -> RankedReport {
        let reports = FileManager.default.temporaryDirectory.appendingPathComponent(
            "ckpt-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: reports, withIntermediateDirectories: true)
        // What remains is in the directory for temporary files.
        defer { try? FileManager.default.removeItem(at: reports) }
        let files = (0..<settings.ranks).map { reports.appendingPathComponent("\($0).json") }
        let launch = UUID().uuidString
        let processes = try RankProcesses(
            executable: executable,
            arguments: files.enumerated().map { rank, file in
                arguments + ["--rank", "\(rank)", "--launch", launch, "--json", file.path]
            })
        progress("creating the state")
        for phase in Phase.allCases {
            try processes.meet { progress(phase.rawValue) }
        }
        try processes.wait()
        let results = try files.map { file in
            try JSONParser.parse(ArraySlice(Data(contentsOf: file)))
        }
        return RankedReport(results, rootBytes: rootBytes)
    }

    /// The moments at which the ranks wait for each other.
    enum Phase: String, CaseIterable {
        case plain = "training without checkpoints"
        case engine = "training with checkpoints"
        case restore = "restoring"
    }

    /// Size of the newest root, of its index, and of all parts; zeros if they are gone.
    private var rootBytes: RankedReport.RootBytes {
        var bytes = RankedReport.RootBytes()
        let root = URL(fileURLWithPath: settings.store)
        func newest(_ directory: String) -> URL? {
            let url = root.appendingPathComponent(directory)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []
            // Names of one run ascend by step.
            return names.filter { !$0.hasSuffix(".launch") }.max().map(url.appendingPathComponent)
        }
        func size(_ file: URL) -> Int {
            (try? file.resourceValues(forKeys: [.fileSizeKey]).fileSize) ?? 0
        }
        bytes.root = newest("manifests").map(size) ?? 0
        guard let attempt = newest("parts") else { return bytes }
        let files = (try? FileManager.default.contentsOfDirectory(atPath: attempt.path)) ?? []
        for file in files {
            let fileBytes = size(attempt.appendingPathComponent(file))
            if file.hasSuffix(".part") { bytes.parts += fileBytes }
            if file.hasSuffix(".index") { bytes.index += fileBytes }
        }
        return bytes
    }
}
