import Checkpointing

/// Runs as rows, their checkpoints as dots over the steps, and a curve to the checkpoint that a run was resumed from.
struct LineageGraph {
    /// Maximum number of runs, the newest ones.
    static let runsMax = 30

    let runs: [(id: RunID, name: String, checkpoints: [CheckpointSummary])]
    private let omitted: Int
    private static let (left, width, right, rowHeight) = (236.0, 720.0, 20.0, 30.0)

    init(_ data: ReportData) {
        runs = Array(data.runs.suffix(Self.runsMax))
        omitted = data.runs.count - runs.count
    }

    private var x: Scale {
        Scale(
            runs.flatMap { $0.checkpoints.map { Double($0.step) } }, from: Self.left,
            to: Self.width - Self.right)
    }

    private func y(_ row: Int) -> Double { Double(row) * Self.rowHeight + 20 }

    var html: HTML {
        let x = x
        let floor = y(runs.count - 1) + 20
        let ticks = x.ticks(8).filter { $0 == $0.rounded() }.compactMap { tick in
            x.place(tick).map {
                Figure.text(String(Int(exactly: tick) ?? 0), $0, floor + 16, "middle")
            }
        }
        let more = omitted == 0 ? "" : " Not shown: \(Output.count(omitted, "older run"))."
        return Figure.html(
            title: "Runs and branches",
            caption:
                "Each row is a run or a branch of a run; each dot is a checkpoint at its step. A curve joins a branch to the "
                + "checkpoint that it was resumed from." + more,
            width: Self.width, height: floor + 36,
            links(x) + runs.indices.map { row($0, x) } + ticks + [
                Figure.text("step", Self.left - 12, floor + 16, "end")
            ], table: table)
    }

    private func row(_ row: Int, _ x: Scale) -> HTML {
        let (run, height) = (runs[row], y(row))
        let places = run.checkpoints.compactMap { summary in
            x.place(Double(summary.step)).map { (summary, $0) }
        }
        let name =
            run.name.isEmpty
            ? Output.short(run.id) : "\(HTML.short(run.name, 16)) \(Output.short(run.id))"
        let dots = places.map { summary, place in
            HTML.tag(
                "circle",
                [
                    "class": "dot s0", "cx": Figure.number(place), "cy": Figure.number(height),
                    "r": "4",
                ],
                [.tag("title", [:], "step \(summary.step), \(Output.short(summary.id))")])
        }
        let line = places.first.map { first in
            Figure.line(first.1, height, places[places.count - 1].1, height, "line s0")
        }
        return .group(
            [line ?? .group([])] + dots + [
                Figure.text(name, Self.left - 12, height + 4, "end", style: "name")
            ])
    }

    private func links(_ x: Scale) -> [HTML] {
        var places: [CheckpointID: (Double, Double)] = [:]
        for (row, run) in runs.enumerated() {
            for summary in run.checkpoints {
                places[summary.id] = x.place(Double(summary.step)).map { ($0, y(row)) }
            }
        }
        return runs.compactMap { run -> HTML? in
            guard let first = run.checkpoints.first, let parent = first.parent,
                let from = places[parent], let to = places[first.id]
            else {
                return nil
            }
            let middle = Figure.number((from.1 + to.1) / 2)
            let (x1, y1, x2, y2) = (
                Figure.number(from.0), Figure.number(from.1), Figure.number(to.0),
                Figure.number(to.1)
            )
            return .tag(
                "path",
                [
                    "class": "link",
                    "d": "M\(x1),\(y1) C\(x1),\(middle) \(x2),\(middle) \(x2),\(y2)",
                ], [])
        }
    }

    private var table: Figure.Table {
        Figure.Table(
            head: ["run", "name", "checkpoints", "first step", "last step", "resumed from"],
            rows: runs.map { run in
                [
                    Output.short(run.id), run.name, String(run.checkpoints.count),
                    run.checkpoints.first.map { String($0.step) } ?? "",
                    run.checkpoints.last.map { String($0.step) } ?? "",
                    run.checkpoints.first?.parent.map { Output.short($0) } ?? "",
                ]
            })
    }
}
