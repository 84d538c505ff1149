internal import CheckpointInterchange
internal import CheckpointMaintenance
internal import CheckpointObjects
import ArgumentParser
import Checkpointing

struct Stats: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Shows space used, and what deduplication and compression save.",
        usage: "ckpt stats STORE [options]",
        discussion: """
            Example: ckpt stats runs/first

            Reads every manifest, and no tensor data. LOGICAL is the size of all checkpoints before compression; UNIQUE \
            counts shared chunks once; STORED is the size after compression.
            """)

    @OptionGroup var common: CommonArguments

    /// Checkpoints whose growth is shown as text.
    private static let shown = 20

    func execute() throws -> ExitCode {
        let store = try common.open()
        let (statistics, damaged) = try store.statistics {
            if $0 % 100 == 0 { ProgressLine.tell("reading checkpoint \($0) of \($1)") }
        }
        ProgressLine.clear()
        if common.json { printJSON(statistics, damaged) } else { printText(statistics, damaged) }
        return damaged.isEmpty ? .fine : .difference
    }

    // MARK: Text

    private func printText(_ statistics: StoreStatistics, _ damaged: [CheckpointError]) {
        printTotals(statistics)
        amounts("CLASS", statistics.classes)
        amounts("TYPE", statistics.types)
        var codecs = Table(["CODEC", "BLOCKS", "RAW", "STORED", "RATIO"])
        for (name, blocks) in statistics.codecs.sorted(by: { $0.key < $1.key }) {
            let sizes = [Output.size(blocks.raw), Output.size(blocks.stored), Output.ratio(blocks.raw, blocks.stored)]
            codecs.add([name, String(blocks.count)] + sizes)
        }
        Output.line()
        codecs.print()
        var growth = Table(["STEP", .init("ID", rank: 1), .init("RUN", rank: 2, shortest: 12), "LOGICAL", "NEW"])
        for row in statistics.growth.suffix(Self.shown).reversed() {
            growth.add([
                String(row.step), Output.short(row.id), row.runName, Output.size(row.logical), Output.size(row.new),
            ])
        }
        Output.line()
        growth.print()
        let older = statistics.growth.count - Self.shown
        if older > 0 { Output.line("and \(Output.count(older, "older checkpoint")); --json lists them all") }
        for error in damaged { Output.line("\(error.code.rawValue): \(error)") }
    }

    private func printTotals(_ statistics: StoreStatistics) {
        let (total, blocks) = (statistics.total, statistics.blocks)
        Output.line("\(Output.count(statistics.growth.count, "checkpoint")) of \(Output.count(statistics.runCount, "run"))")
        Output.line("logical  \(Output.size(total.logical))")
        Output.line("unique   \(Output.size(total.unique)), \(Output.ratio(total.logical, total.unique)) by deduplication")
        Output.line("stored   \(Output.size(blocks.stored)), \(Output.ratio(blocks.raw, blocks.stored)) by compression")
        let parts = [
            "\(Output.size(statistics.segmentBytes)) in \(Output.count(statistics.segmentCount, "segment"))",
            "\(Output.size(statistics.manifestBytes)) of manifests", "\(Output.size(statistics.catalogBytes)) of catalog",
        ] + extra(statistics)
        Output.line("on disk  \(Output.size(statistics.diskBytes)): \(parts.joined(separator: ", "))")
        let bytes = Output.size(statistics.segmentBytes + statistics.manifestBytes)
        let requests = Output.count(cost(statistics).requests, "request")
        Output.line("mirroring to a bucket would send \(bytes) in about \(requests)")
    }

    /// The cost of sending everything to a bucket.
    private func cost(_ statistics: StoreStatistics) -> TransferCost {
        TransferCost(
            segments: statistics.segmentCount, bytes: statistics.segmentBytes,
            checkpoints: statistics.growth.count)
    }

    /// Files that belong to no checkpoint, if there are any.
    private func extra(_ statistics: StoreStatistics) -> [String] {
        let leavings = statistics.leavings
        var parts: [String] = []
        if leavings.count > 0 {
            parts.append(
                "\(Output.size(leavings.bytes)) in \(Output.count(leavings.count, "file")) outside checkpoints "
                    + "(of a running save, or left by a killed writer; see ckpt clean)")
        }
        if statistics.quarantineBytes > 0 {
            parts.append("\(Output.size(statistics.quarantineBytes)) in quarantine")
        }
        return parts
    }

    private func amounts(_ title: String, _ amounts: [String: StoreStatistics.Amount]) {
        var table = Table([Column(title), "LOGICAL", "UNIQUE", "STORED", .init("SHARING", rank: 1), .init("COMPRESSION", rank: 2)])
        for (name, amount) in amounts.sorted(by: { ($1.value.logical, $0.key) < ($0.value.logical, $1.key) }) {
            table.add([
                name, Output.size(amount.logical), Output.size(amount.unique), Output.size(amount.storedBytes),
                Output.ratio(amount.logical, amount.unique), Output.ratio(amount.unique, amount.storedBytes),
            ])
        }
        Output.line()
        table.print()
    }

    // MARK: JSON

    private func printJSON(_ statistics: StoreStatistics, _ damaged: [CheckpointError]) {
        let (total, blocks) = (statistics.total, statistics.blocks)
        Output.json(
            .object([
                .init("checkpoints", .count(statistics.growth.count)), .init("runs", .count(statistics.runCount)),
                .init("logical_bytes", .count(total.logical)), .init("unique_bytes", .count(total.unique)),
                .init("raw_bytes", .count(blocks.raw)), .init("stored_bytes", .count(blocks.stored)),
                .init("sharing", quotient(total.logical, total.unique)), .init("compression", quotient(blocks.raw, blocks.stored)),
                .init("disk_bytes", .count(statistics.diskBytes)), .init("segment_bytes", .count(statistics.segmentBytes)),
                .init("segments", .count(statistics.segmentCount)), .init("manifest_bytes", .count(statistics.manifestBytes)),
                .init("catalog_bytes", .count(statistics.catalogBytes)), .init("other_bytes", .count(statistics.otherBytes)),
                .init("mirror_requests", .count(cost(statistics).requests)),
                .init("leftover_files", .count(statistics.leavings.count)),
                .init("leftover_bytes", .count(statistics.leavings.bytes)),
                .init("quarantine_bytes", .count(statistics.quarantineBytes)),
                .init("classes", json(statistics.classes)), .init("types", json(statistics.types)),
                .init("codecs", json(statistics.codecs)), .init("growth", .array(statistics.growth.map(json))),
                .init("damaged", .array(damaged.map { .error($0) })),
            ]))
    }

    private func quotient(_ a: Int, _ b: Int) -> JSONValue { b == 0 ? .null : .metric(Double(a) / Double(b)) }

    private func json(_ amounts: [String: StoreStatistics.Amount]) -> JSONValue {
        .array(
            amounts.sorted { $0.key < $1.key }.map { name, amount in
                .object([
                    .init("name", .string(name)), .init("logical_bytes", .count(amount.logical)),
                    .init("unique_bytes", .count(amount.unique)), .init("stored_bytes", .count(amount.storedBytes)),
                ])
            })
    }

    private func json(_ codecs: [String: StoreStatistics.Blocks]) -> JSONValue {
        .array(
            codecs.sorted { $0.key < $1.key }.map { name, blocks in
                .object([
                    .init("name", .string(name)), .init("blocks", .count(blocks.count)), .init("raw_bytes", .count(blocks.raw)),
                    .init("stored_bytes", .count(blocks.stored)),
                ])
            })
    }

    private func json(_ growth: StoreStatistics.Growth) -> JSONValue {
        JSONValue.label(growth.id, growth.run, growth.step).adding([
            .init("logical_bytes", .count(growth.logical)), .init("new_bytes", .count(growth.new)),
        ])
    }
}
