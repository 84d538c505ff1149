import CheckpointTestSupport
import Foundation
import Testing

/// Import and export where there is no room, on a small file system in a namespace of its own.
@Suite(.timeLimit(.minutes(20))) struct FullDiskTests {
    @Test(.enabled(if: Requirement.mount.isTested, "\(Requirement.mount.reason)"))
    func nothingIsLeftOfWhatDoesNotFit() throws {
        try Requirement.mount.check()
        let sample = try Sample()
        _ = try Judge.run(
            "import sys, numpy as np; np.savez_compressed(sys.argv[1], a=np.zeros(1 << 16))", sample.folder.path + "/zeros.npz")
        let run = try SmallDisk.run(
            """
            CKPT='\(program.path)'; cd '\(sample.folder.path)'
            $CKPT export store -o $DISK/a.safetensors; echo "status $?"
            $CKPT export store -o $DISK/a --objects; echo "status $?"
            $CKPT restore store -o $DISK/r; echo "status $?"
            $CKPT import $DISK/s zeros.npz --step 1; echo "status $?"
            ls -A $DISK | wc -l
            """, size: "20k", in: sample.folder)
        #expect(run.output.components(separatedBy: "status 5\n").count == 5, "\(run.output)")
        #expect(run.output.components(separatedBy: "Free space").count >= 4, "\(run.output)")
        #expect(run.output.components(separatedBy: "No space left").count >= 4 && run.output.contains("inflates to"), "\(run.output)")
        #expect(run.output.hasSuffix("status 5\n0\n"), "\(run.output)")
    }
}
