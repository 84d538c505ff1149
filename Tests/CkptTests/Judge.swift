import CheckpointTestSupport
import Foundation
import Testing

/// The public libraries that import and export are judged by, in a Python of their own, which Tools/setup makes.
enum Judge {
    static let python = checkout.appendingPathComponent(".build-python/bin/python").path

    /// Runs a script and returns what it prints. A script that fails fails the test.
    static func run(_ script: String, _ arguments: String...) throws -> String { try run(script, arguments) }

    static func run(_ script: String, _ arguments: [String]) throws -> String {
        try #require(FileManager.default.isExecutableFile(atPath: python), "run Tools/setup")
        let outcome = try runProcess(python, ["-c", script] + arguments)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return outcome.output
    }

    /// Writes `FOLDER/a.safetensors`, `a.npy`, `a.npz`, `deflated.npz` and `zip64.npz`: every element
    /// type that numpy has, an empty tensor and a scalar.
    static func makeArrays(_ folder: String) throws {
        _ = try run(
            """
            import sys, zipfile, numpy as np, safetensors.numpy as st
            folder = sys.argv[1]
            rng = np.random.default_rng(7)
            types = ['f8', 'f4', 'f2', 'i8', 'i4', 'i2', 'i1', 'u8', 'u4', 'u2', 'u1', '?']
            arrays = {'layer.' + t.replace('?', 'b'): rng.integers(0, 2 if t == '?' else 100, (3, 5)).astype(t) for t in types}
            arrays['empty'] = np.zeros((0, 4), 'f4')
            arrays['scalar'] = np.array(3, 'f4')
            arrays['large'] = rng.standard_normal((300, 700)).astype('f4')
            st.save_file(arrays, folder + '/a.safetensors', metadata={'who': 'judge'})
            np.savez(folder + '/a.npz', **arrays)
            np.savez_compressed(folder + '/deflated.npz', **arrays)
            np.save(folder + '/a.npy', np.asfortranarray(arrays['large']))
            zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = 40, 3
            np.savez(folder + '/zip64.npz', **arrays)
            """, folder)
    }
}

extension TemporaryDirectory {
    /// The only checkpoint of a store in this folder, as `inspect` shows it with digests.
    func inspected(_ store: String) throws -> Fields { try ckpt("inspect", path + "/" + store, "--digests", "--json").json() }

    func write(_ bytes: [UInt8], to name: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name)) }

    func bytes(of name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path + "/" + name))) }

    func text(of name: String) throws -> String { String(decoding: try bytes(of: name), as: UTF8.self) }
}
