import CheckpointTestSupport
import Foundation
import Testing

/// How much memory the verbs take that pass over tensors: that of what they work on, whatever the tensors' size.
@Suite(.timeLimit(.minutes(20))) struct MemoryTests {
    private static let tensorMebibytes = 192

    /// Runs each line of `lines` and prints the most memory that any of them had resident, in KiB (getrusage(2), ru_maxrss).
    private let script = """
        import json, os, resource, sys
        peaks = []
        for line in json.loads(sys.argv[1]):
            process = os.posix_spawn(line[0], line, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
            _, status, usage = os.wait4(process, 0)
            assert os.waitstatus_to_exitcode(status) == 0, line
            peaks.append(usage.ru_maxrss)
        print(json.dumps(peaks))
        """

    @Test func memoryDoesNotGrowWithATensor() throws {
        let folder = try TemporaryDirectory()
        let (file, store) = (folder.path + "/x.safetensors", folder.path + "/store")
        _ = try Judge.run(
            """
            import sys, numpy as np, safetensors.numpy as st
            few = np.random.default_rng(1).standard_normal(1 << 20, dtype='f8')
            st.save_file({'x': np.concatenate([few + i for i in range(int(sys.argv[2]) // 8)])}, sys.argv[1])
            """, file, String(Self.tensorMebibytes))
        let lines = [
            ["import", store, file, "--step", "1", "--compression", "fast"], ["verify", store], ["inspect", store, "--stats", "--digests"],
            ["restore", store, "-o", folder.path + "/raw"], ["export", store, "-o", folder.path + "/y.safetensors"],
            ["diff", store, "1", file], ["copy", store, folder.path + "/copy"], ["report", store, "-o", folder.path + "/page.html"],
        ].map { [program.path] + $0 }
        let text = String(decoding: try JSONSerialization.data(withJSONObject: lines), as: UTF8.self)
        let peaks = try JSONSerialization.jsonObject(with: Data(try Judge.run(script, text).utf8)) as? [Int] ?? []
        #expect(peaks.count == lines.count)
        // import has an arena of 64 MiB.
        for (line, peak) in zip(lines, peaks) { #expect(peak < 144 << 10, "\(line[1]): \(peak) KiB") }
        let raw = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/raw/00000.bin"))
        #expect(raw.count == Self.tensorMebibytes << 20)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)).suffix(raw.count) == raw)
    }
}
