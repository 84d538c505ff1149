internal import CheckpointInterchange
internal import CheckpointMaintenance
internal import CheckpointObjects
import ArgumentParser
import Checkpointing

struct Clean: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "clean", abstract: "Deletes unfinished files of a killed writer.",
        usage: "ckpt clean STORE [options]",
        discussion: """
            Example: ckpt clean runs/first

            Deletes files of unfinished saves, and segments that no checkpoint uses. A trainer \
            also deletes them when it opens the store. Fails while a process writes to the store. \
            Needs no free space.

            In a bucket, deletes segments that no checkpoint uses a day after they were uploaded, \
            also while processes save there, and aborts uploads in parts that began a day ago.
            """)

    @OptionGroup var common: CommonArguments

    func execute() throws -> ExitCode {
        var uploads: Int?
        var failure: CheckpointError?
        let leavings = try Interruption.cancelling { _ in
            switch try StoreAddress(common.store) {
            case .directory(let path): return try CheckpointStore.clean(path) { Output.warn($0) }
            case .bucket(let location):
                // Not every store lists uploads, nor everybody may.
                do throws(CheckpointError) {
                    uploads = try CheckpointStore.abortStaleUploads(at: location)
                } catch { failure = error }
                return try common.openForMaintaining().clean()
            }
        }
        if let failure { Output.warn("unfinished uploads are left alone: \(failure.message)") }
        if common.json {
            Output.json(
                .object([
                    .init("files", .count(leavings.count)), .init("bytes", .count(leavings.bytes)),
                    .init("uploads", uploads.map { .count($0) } ?? .null),
                    .init("complete", .bool(leavings.isComplete)),
                ]))
        } else {
            let found = "\(Output.count(leavings.count, "file")), \(Output.size(leavings.bytes))"
            Output.line(leavings.count == 0 ? "nothing to delete" : "deleted \(found)")
            if let uploads, uploads > 0 {
                Output.line("aborted \(Output.count(uploads, "unfinished upload"))")
            }
            if !leavings.isComplete {
                Output.warn("more files may be left: see the warnings above, or try again later")
            }
        }
        return leavings.isComplete ? .fine : .difference
    }
}
