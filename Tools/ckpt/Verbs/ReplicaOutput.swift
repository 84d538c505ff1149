import CheckpointMaintenance
import Checkpointing

/// The output of `ckpt verify --replicas`.
struct ReplicaOutput {
    let store: String
    let reports: [ReplicaReport]

    // MARK: Text

    func printText() {
        var table = Table([
            .init("STEP", shortest: 4), .init("RANKS", shortest: 5), .init("TENSOR", shortest: 12),
            .init("ELEMENTS", rank: 1, shortest: 10), .init("DIFFERENCE", shortest: 20),
        ])
        for report in reports where !report.differences.isEmpty {
            for difference in report.differences {
                let ranks = [difference.owner, difference.rank].compactMap { $0 }
                table.add([
                    "\(report.step)", ranks.map(String.init).joined(separator: ", "),
                    difference.tensor, difference.elements, text(difference),
                ])
            }
        }
        if reports.contains(where: { !$0.differences.isEmpty }) { table.print() }
        for report in reports where !report.isWhole { Output.line(text(report)) }
        let bytes = reports.reduce(0) { $0 + $1.comparedBytes }
        let isWhole = reports.allSatisfy(\.isWhole)
        Output.line(
            "\(isWhole ? "OK" : "DIFFERENT"): \(Output.count(reports.count, "save")) of several"
                + " ranks, \(Output.size(bytes)) of copies compared")
    }

    private func text(_ difference: ReplicaDifference) -> String {
        switch difference.kind {
        case .bytes(let ranges):
            let places = ranges.prefix(3).map { "\($0.lowerBound)..<\($0.upperBound)" }
            let more = ranges.count > 3 ? " and \(ranges.count - 3) more" : ""
            return "bytes \(places.joined(separator: ", "))\(more) of \(difference.byteCount)"
        case .chunkSizes: return "different chunk sizes"
        case .notSaved: return "not saved by any rank"
        }
    }

    private func text(_ report: ReplicaReport) -> String {
        let state = report.isCommitted ? "committed" : "not committed"
        let what =
            if let problem = report.problem {
                "\(problem)"
            } else if !report.missingRanks.isEmpty {
                "nothing can be compared; ranks that have not saved: "
                    + RankGroup.text(of: report.missingRanks)
            } else {
                "\(Output.count(report.differences.count, "difference")) between ranks"
            }
        return "step \(report.step) (\(Output.short(report.id))), \(state): \(what)"
    }

    // MARK: JSON

    func printJSON() {
        Output.json(
            .object([
                .init("whole", .bool(reports.allSatisfy(\.isWhole))),
                .init("saves", .array(reports.map(json))),
            ]))
    }

    private func json(_ report: ReplicaReport) -> JSONValue {
        .object([
            .init("id", .hex(report.id)), .init("run", .hex(report.run)),
            .init("step", .count(report.step)), .init("committed", .bool(report.isCommitted)),
            .init("world_size", .count(report.worldSize)),
            .init("missing_ranks", .counts(report.missingRanks)),
            .init("compared_bytes", .count(report.comparedBytes)),
            .init("problem", report.problem.map { .string("\($0)") } ?? .null),
            .init("differences", .array(report.differences.map(json))),
        ])
    }

    private func json(_ difference: ReplicaDifference) -> JSONValue {
        let (kind, ranges): (String, [Range<Int>]) =
            switch difference.kind {
            case .bytes(let ranges): ("bytes", ranges)
            case .chunkSizes: ("chunk_sizes", [])
            case .notSaved: ("not_saved", [])
            }
        return .object([
            .init("tensor", .string(difference.tensor)),
            .init("elements", .string(difference.elements)),
            .init("bytes", .count(difference.byteCount)), .init("rank", .count(difference.rank)),
            .init("owner", difference.owner.map { .count($0) } ?? .null),
            .init("kind", .string(kind)),
            .init(
                "ranges", .array(ranges.map { .counts([$0.lowerBound, $0.upperBound]) })),
        ])
    }
}
