import Foundation
import Testing

/// Outputs that are compared with files in `Golden/`, once what differs from run to run is written as a word: ids in the order of their
/// appearance, times, paths of the test's folder, and places of blocks, which threads share out as they come. With `CKPT_RECORD_GOLDEN` set
/// the files are written anew.
struct GoldenOutput {
    let folder: Folder

    func expect(_ run: Run, _ name: String, status: Int32, sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(run.status == status, "\(run.errors)", sourceLocation: sourceLocation)
        let text = normal(run.output)
        let path = checkout.appendingPathComponent("Tests/CkptTests/Golden/\(name)")
        if ProcessInfo.processInfo.environment["CKPT_RECORD_GOLDEN"] != nil {
            try Data(text.utf8).write(to: path)
        }
        let golden = try String(contentsOf: path, encoding: .utf8)
        #expect(text == golden, "the output differs from \(name)", sourceLocation: sourceLocation)
    }

    func normal(_ text: String) -> String {
        var ids: [Substring: String] = [:]
        let paths = text.replacing(folder.path, with: "FOLDER")
        let named = paths.replacing(#/\b[0-9a-f]{32}\b|\b[0-9a-f]{12}\b/#) { match in
            let key = match.output.prefix(12)
            let name = ids[key] ?? "ID\(ids.count + 1)"
            ids[key] = name
            return name
        }
        return named.replacing(#/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/#, with: "TIME").replacing(#/\b1[6-9]\d{11}\b/#, with: "0")
            .replacing(#/(offset"?[ :])\d+/#) { "\($0.output.1)0" }
    }
}
