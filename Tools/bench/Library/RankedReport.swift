package import CheckpointFormat

/// Results of a benchmark of several ranks. Formats/cli-json.md defines the keys and units of `json`.
package struct RankedReport {
    /// Sizes of the files that make a checkpoint of several ranks, without tensor data.
    struct RootBytes {
        var root = 0
        var index = 0
        var parts = 0
    }

    package let json: JSONValue
    /// Rows of a table: name, median or single figure, minimum, maximum, number of samples.
    package let rows: [[String]]
    /// True if every restore of every rank reproduced every bit.
    package let isBitExact: Bool

    /// Joins the reports of the ranks.
    ///
    /// - Parameters:
    ///   - ranks: their reports, by rank.
    ///   - rootBytes: sizes in the newest checkpoint.
    init(_ ranks: [JSONValue], rootBytes: RootBytes) {
        func numbers(_ key: String, of field: String? = nil) -> [Double] {
            ranks.compactMap { rank in
                let value = rank[key]
                return (field.flatMap { value?[$0] } ?? value)?.double
            }
        }
        let saves = ranks.flatMap { $0["saves"]?.elements ?? [] }
        func perSave(_ key: String) -> [Double] { saves.compactMap { $0[key]?.double } }
        let stalls = ranks.flatMap { rank -> [Double] in
            let plain = rank["step_plain_s"]?["median"]?.double ?? 0
            return (rank["saves"]?.elements ?? []).compactMap { $0["step_s"]?.double }.map {
                $0 - plain
            }
        }
        let waits = zip(perSave("committed_s"), perSave("durable_s")).map { $0 - $1 }
        isBitExact = ranks.allSatisfy { $0["bit_exact"] == .bool(true) }
        var list = FigureList()
        list.add("ranks", ranks.count)
        list.add("submit_ms", Spread(perSave("submit_ms")))
        list.add("stall_s", Spread(stalls))
        list.add("fence_s", Spread(perSave("fence_s")))
        list.add("durable_s", Spread(perSave("durable_s")))
        list.add("committed_s", Spread(perSave("committed_s")))
        list.add("commit_s", Spread(waits))
        list.add("step_slowdown", Spread(numbers("step_slowdown")))
        list.add("end_to_end_ratio", Spread(numbers("end_to_end_ratio")))
        list.add("bytes_logical", Int(numbers("bytes_logical").reduce(0, +)))
        list.add("bytes_of_rank", Spread(numbers("bytes_logical")))
        list.add("bytes_copied", Spread(perSave("copied_bytes")))
        list.add("root_bytes", rootBytes.root)
        list.add("index_bytes", rootBytes.index)
        list.add("parts_bytes", rootBytes.parts)
        list.add("restore_cold_s", Spread(numbers("restore_cold_s")))
        list.add("restore_warm_s", Spread(numbers("restore_warm_s")))
        list.add("bit_exact", isBitExact)
        rows = list.rows
        json = .object(list.members + [.init("by_rank", .array(ranks))])
    }
}

extension JSONValue {
    fileprivate subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    fileprivate var elements: [JSONValue] {
        guard case .array(let elements) = self else { return [] }
        return elements
    }

    fileprivate var double: Double? {
        switch self {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        default: nil
        }
    }
}
