import CheckpointIO
import CheckpointState
import CheckpointTestSupport
import Checkpointing
import Foundation
import Synchronization
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

    /// Saves a tensor of whole numbers with two ranks of this process, each of which has half of the
    /// columns.
    private func saveColumns(_ store: String, rows: Int, columns: Int) throws {
        let failures = Mutex<[String]>([])
        let threads = try (0..<2).map { rank in
            try WorkerThread(name: "rank-\(rank)") {
                do {
                    let mesh = try RankMesh(["tp": 2])
                    let shard = try TensorSharding([rows, columns]).split(1, over: "tp").shard(of: rank, in: mesh)
                    let part = try OwnedTensor<UInt32>(repeating: 0, shape: shard.memoryShape)
                    let half = columns / 2
                    part.withElements { elements in
                        for index in 0..<rows * half {
                            elements[index] = UInt32(index / half * columns + rank * half + index % half)
                        }
                    }
                    let view = try TensorView(part.view.memory, type: .u32, shape: shard.memoryShape)
                    let ranks = RankGroup(rank: rank, worldSize: 2, launch: "columns")
                    try withCheckpointer(store, state: TensorState("x", view, of: shard), ranks: ranks) {
                        try $0.save(step: 1).wait()
                    }
                } catch { failures.withLock { $0.append("\(error)") } }
            }
        }
        for thread in threads { thread.join() }
        try #require(failures.withLock { $0 }.isEmpty, "\(failures.withLock { $0 })")
    }

    @Test func memoryDoesNotGrowWithATensorOfSeveralRanks() throws {
        let folder = try TemporaryDirectory()
        let store = folder.path + "/store"
        let (rows, columns) = (Self.tensorMebibytes << 8, 1 << 10)
        try saveColumns(store, rows: rows, columns: columns)
        let lines = [
            ["verify", store], ["inspect", store, "--stats", "--digests"], ["restore", store, "-o", folder.path + "/raw"],
            ["export", store, "-o", folder.path + "/y.safetensors"], ["export", store, "-o", "-"],
            ["copy", store, folder.path + "/copy"], ["report", store, "-o", folder.path + "/page.html"],
        ].map { [program.path] + $0 }
        let text = String(decoding: try JSONSerialization.data(withJSONObject: lines), as: UTF8.self)
        let peaks = try JSONSerialization.jsonObject(with: Data(try Judge.run(script, text).utf8)) as? [Int] ?? []
        #expect(peaks.count == lines.count)
        for (line, peak) in zip(lines, peaks) { #expect(peak < 144 << 10, "\(line[1]): \(peak) KiB") }
        let judged = try Judge.run(
            """
            import sys, numpy as np, safetensors.numpy as st
            want = np.arange(int(sys.argv[1]) * int(sys.argv[2]), dtype='u4')
            raw = np.fromfile(sys.argv[3] + '/raw/00000.bin', dtype='u4')
            x = st.load_file(sys.argv[3] + '/y.safetensors')['x']
            print((raw == want).all() and (x.reshape(-1) == want).all() and x.shape)
            """, String(rows), String(columns), folder.path)
        #expect(judged == "(\(rows), \(columns))\n", "\(judged)")
    }

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
