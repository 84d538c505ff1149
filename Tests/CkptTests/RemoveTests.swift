import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// `rm` and `clean` on the real program, and what frees space on a full disk.
@Suite(.timeLimit(.minutes(20))) struct RemoveTests {
    @Test func removesWhatIsNamed() throws {
        let sample = try Sample()
        let golden = Golden(sample)
        let before = try sample.folder.trace()
        try golden.expect(ckpt("rm", sample.store, "10", "--dry-run"), "rm-dry.txt")
        #expect(try sample.folder.trace() == before)
        try golden.expect(ckpt("rm", sample.store, "sample:latest"), "rm-newest.txt", status: 7)
        #expect(try ckpt("rm", sample.store, "10", "11").status == 3)
        #expect(try ckpt("ls", sample.store, "--json").json().list("checkpoints").count == 2)
        #expect(try ckpt("tag", sample.store, "10", "first").status == 0)
        #expect(try ckpt("pin", sample.store, "10").status == 0)
        try golden.expect(ckpt("rm", sample.store, "10"), "rm-marked.txt", status: 7)
        try golden.expect(ckpt("rm", sample.store, "first", "10", "--force"), "rm.txt")
        #expect(try ckpt("tag", sample.store, "--json").output == "{\"tags\":[]}\n")
        try golden.expect(ckpt("rm", sample.store, "latest", "--force", "--json"), "rm.json")
        #expect(try ckpt("ls", sample.store, "--json").json().list("checkpoints").isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: sample.store + "/segments").isEmpty)
    }

    @Test func aCheckpointThatCannotBeReadIsRemovedToo() throws {
        let sample = try Sample()
        let manifests = try FileManager.default.contentsOfDirectory(atPath: sample.store + "/manifests").sorted()
        try sample.folder.write([1, 2, 3], to: "store/manifests/\(manifests[0])")
        let run = try ckpt("rm", sample.store, "10")
        #expect(run.status == 0 && run.errors.contains("ckpt clean"), "\(run)")
        #expect(try ckpt("verify", sample.store).status == 0)
        // Its segment is named by nothing any more.
        #expect(try FileManager.default.contentsOfDirectory(atPath: sample.store + "/segments").count == 2)
        #expect(try ckpt("clean", sample.store).status == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: sample.store + "/segments").count == 1)
    }

    @Test func whatASaveInFlightUsesStays() throws {
        let sample = try Sample()
        // As a writer holds what it reuses.
        let manifests = try FileManager.default.contentsOfDirectory(atPath: sample.store + "/manifests").sorted()
        let handle = try #require(FileHandle(forReadingAtPath: "\(sample.store)/manifests/\(manifests[0])"))
        #expect(flock(handle.fileDescriptor, LOCK_SH) == 0)
        let run = try ckpt("rm", sample.store, "10")
        #expect(run.status == 1 && run.output.contains("uses it"), "\(run)")
        try handle.close()
        #expect(try ckpt("rm", sample.store, "10").status == 0)
    }

    @Test func cleansWhatAKilledWriterLeft() throws {
        let sample = try Sample()
        let golden = Golden(sample)
        try sample.folder.write([UInt8](repeating: 1, count: 5000), to: "store/staging/left")
        let manifests = try FileManager.default.contentsOfDirectory(atPath: sample.store + "/manifests").sorted()
        try FileManager.default.removeItem(atPath: "\(sample.store)/manifests/\(manifests[0])")
        try golden.expect(ckpt("clean", sample.store), "clean.txt")
        try golden.expect(ckpt("clean", sample.store, "--json"), "clean.json")
        #expect(try ckpt("clean", sample.folder.path + "/nothing").status == 3)
        #expect(try FileManager.default.contentsOfDirectory(atPath: sample.folder.path) == ["store"])
        let writer = try CheckpointStore.open(sample.store, for: .writing)
        #expect(try ckpt("clean", sample.store).status == 4)
        withExtendedLifetime(writer) {}
    }

    /// With not one free block or inode, everything that frees space works, and the store is whole.
    @Test(.enabled(if: Requirement.mount.isTested, "\(Requirement.mount.reason)"), arguments: ["blocks", "inodes"])
    func freeingSpaceNeedsNone(_ resource: String) throws {
        try Requirement.mount.check()
        let sample = try Sample()
        for step in ["10", "20"] { #expect(try ckpt("pin", sample.store, step).status == 0) }
        let fill = resource == "blocks" ? "cat /dev/zero > $DISK/fill" : "i=0; while : > $DISK/f$i; do i=$((i+1)); done"
        let run = try SmallDisk.run(
            """
            CKPT='\(program.path)'
            $CKPT copy '\(sample.store)' $DISK/s; echo "status $?"
            head -c 5000 /dev/zero > $DISK/s/staging/left
            \(fill) 2> /dev/null
            stat -f -c 'free %a %d' $DISK
            $CKPT unpin $DISK/s 10; echo "status $?"
            $CKPT rm $DISK/s 10; echo "status $?"
            $CKPT unpin $DISK/s 20; echo "status $?"
            \(fill) 2> /dev/null
            $CKPT clean $DISK/s; echo "status $?"
            ls -A $DISK/s/staging | wc -l
            \(fill) 2> /dev/null
            $CKPT prune $DISK/s --keep-last 1; echo "status $?"
            $CKPT verify $DISK/s; echo "status $?"
            """, size: "1m,nr_inodes=64", in: sample.folder)
        #expect(run.output.contains(resource == "blocks" ? "free 0 " : " 0\n"), "\(run.output)")
        #expect(run.output.components(separatedBy: "status 0\n").count == 8, "\(run.output)")
        #expect(run.output.contains("deleted 1 file"), "\(run.output)")
    }
}
