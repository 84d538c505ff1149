import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// Opens a store as soon as nobody has it: a program that another test has just started holds this
/// process's locks until it runs.
func openSoon(_ path: String, for access: CheckpointStore.Access) throws -> CheckpointStore {
    try retrying(while: { $0.code == .busy }) { () throws(CheckpointError) in
        try CheckpointStore.open(path, for: access)
    }
}

/// What a verb prints, compared with a file in Golden/. Ids become `<id 1>`, `<id 2>` in the order in which they are met, times `<time>`,
/// places of blocks, which threads share out as they come, `<offset>`, and paths of the sample `<folder>`. With `CKPT_UPDATE_GOLDEN=1` the
/// files are written anew.
final class Golden {
    /// Where the files are.
    static let folder = checkout.appendingPathComponent("Tests/CkptTests/Golden")

    private let place: String
    private let hidesNumbers: Bool
    private var ids: [String] = []

    convenience init(_ sample: Sample) { self.init(folder: sample.folder) }

    /// - Parameter hidesNumbers: every number becomes `<n>`, for what is measured.
    init(folder: TemporaryDirectory, hidesNumbers: Bool = false) {
        place = folder.path
        self.hidesNumbers = hidesNumbers
    }

    func expect(_ run: Run, _ name: String, status: Int32 = 0, sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(run.status == status, "\(run.errors)", sourceLocation: sourceLocation)
        let text = normalized(run.output + run.errors)
        let file = Self.folder.appendingPathComponent(name)
        if ProcessInfo.processInfo.environment["CKPT_UPDATE_GOLDEN"] == "1" { try Data(text.utf8).write(to: file) }
        let expected = try String(contentsOf: file, encoding: .utf8)
        #expect(text == expected, sourceLocation: sourceLocation)
    }

    func normalized(_ text: String) -> String {
        var text = text.replacingOccurrences(of: place, with: "<folder>")
        if hidesNumbers { text = replace(text, #"(?<![\w.])-?\d+(\.\d+)*(e[-+]?\d+)?"#) { _ in "<n>" } }
        if hidesNumbers { text = replace(text, #"(?<=max_is_first)( +|":)(yes|no|true|false)"#) { _ in " <flag>" } }
        text = replace(text, #"[0-9a-f]{32}|(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])"#) { id in
            // The first digits stand for the whole.
            let short = String(id.prefix(12))
            let number = ids.firstIndex(of: short) ?? ids.count
            if number == ids.count { ids.append(short) }
            return "<id \(number + 1)>"
        }
        text = replace(text, #"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?"#) { _ in "<time>" }
        text = replace(text, #"(?<!\d)1[6-9]\d{11}(?!\d)"#) { _ in "<ms>" }
        text = text.replacingOccurrences(of: LibraryVersion.writer, with: "ckpt <version>")
        text = replace(text, #"offset"?[ :]\d+"#) { $0.prefix { !$0.isNumber } + "<offset>" }
        // Columns are as wide as what was in them.
        text = replace(text, " {2,}") { _ in "  " }
        return replace(text, #"(?<=\.segment  )\d+"#) { _ in "<offset>" }
    }

    private func replace(_ text: String, _ pattern: String, _ body: (String) -> String) -> String {
        guard let expression = try? NSRegularExpression(pattern: pattern) else { preconditionFailure(pattern) }
        var result = ""
        var end = text.startIndex
        for match in expression.matches(in: text, range: NSRange(text.startIndex..., in: text)) {
            guard let range = Range(match.range, in: text) else { continue }
            result += text[end..<range.lowerBound] + body(String(text[range]))
            end = range.upperBound
        }
        return result + text[end...]
    }
}
