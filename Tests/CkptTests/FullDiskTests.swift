import Foundation
import Testing

/// Import and export where there is no room, on a small file system in a namespace of its own.
@Suite struct FullDiskTests {
    /// Whether this machine lets us mount at all. In CI it must.
    private static let canMount: Bool = {
        let isCI = ProcessInfo.processInfo.environment["CI"] == "true"
        return isCI || (try? shell("true", Folder()).status) == 0
    }()

    /// Runs a script with `$DISK`, an empty file system of 20 KiB, and `$CKPT`.
    private static func shell(_ script: String, _ folder: Folder) throws -> (status: Int32, output: String) {
        let process = Process()
        let disk = folder.path + "/disk"
        try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
        let prologue = """
            mount -t tmpfs -o size=20k ckpt-test '\(disk)' || exit 99
            DISK='\(disk)'; CKPT='\(program.path)'; cd '\(folder.path)'

            """
        process.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
        process.arguments = [getuid() == 0 ? "-m" : "-rm", "/bin/bash", "-c", prologue + script]
        let output = Pipe()
        (process.standardOutput, process.standardError) = (output, output)
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    @Test(.enabled(if: canMount)) func nothingIsLeftOfWhatDoesNotFit() throws {
        let sample = try Sample()
        _ = try Judge.run(
            "import sys, numpy as np; np.savez_compressed(sys.argv[1], a=np.zeros(1 << 16))", sample.folder.path + "/zeros.npz")
        let run = try Self.shell(
            """
            $CKPT export store -o $DISK/a.safetensors; echo "status $?"
            $CKPT export store -o $DISK/a --objects; echo "status $?"
            $CKPT restore store -o $DISK/r; echo "status $?"
            $CKPT import $DISK/s zeros.npz --step 1; echo "status $?"
            ls -A $DISK | wc -l
            """, sample.folder)
        #expect(run.output.components(separatedBy: "status 5\n").count == 5, "\(run.output)")
        #expect(run.output.components(separatedBy: "No space left").count >= 4 && run.output.contains("inflates to"), "\(run.output)")
        #expect(run.output.hasSuffix("status 5\n0\n"), "\(run.output)")
    }
}
