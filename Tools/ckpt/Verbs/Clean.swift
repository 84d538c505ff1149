internal import CheckpointInterchange
internal import CheckpointMaintenance
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
            also while processes save there.
            """)

    @OptionGroup var common: CommonArguments

    func execute() throws -> ExitCode {
        let leavings = try Interruption.cancelling { _ in
            try StoreAddress(common.store).isInBucket
                ? common.openForMaintaining().clean()
                : CheckpointStore.clean(common.store) { Output.warn($0) }
        }
        if common.json {
            Output.json(
                .object([
                    .init("files", .count(leavings.count)), .init("bytes", .count(leavings.bytes)),
                    .init("complete", .bool(leavings.isComplete)),
                ]))
        } else {
            let found = "\(Output.count(leavings.count, "file")), \(Output.size(leavings.bytes))"
            Output.line(leavings.count == 0 ? "nothing to delete" : "deleted \(found)")
            if !leavings.isComplete {
                Output.warn("more files may be left: see the warnings above, or try again later")
            }
        }
        return leavings.isComplete ? .fine : .difference
    }
}
