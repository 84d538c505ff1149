import CheckpointTestSupport
import Foundation
import Testing

/// Foreign files that are not what they say.
@Suite(.timeLimit(.minutes(20))) struct HostileFileTests {
    /// A safetensors file of this header and so many zero bytes.
    private static func safetensors(_ header: String, _ dataBytes: Int, length: UInt64? = nil) -> [UInt8] {
        let length = length ?? UInt64(header.utf8.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(header.utf8) + [UInt8](repeating: 0, count: dataBytes)
    }

    private static func tensor(_ name: String, _ range: String, shape: String = "[2]", type: String = "F32") -> String {
        "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":\(range)}"
    }

    private static let files: [(String, bytes: [UInt8], Int32, String)] = [
        ("empty", [], 6, "unrecognized"),
        ("tiny", [1, 2, 3], 6, "unrecognized"),
        ("length beyond the file", safetensors("{}", 0, length: 1 << 40), 1, "length of the header"),
        ("largest length", safetensors("{}", 0, length: .max), 1, "length of the header"),
        ("no JSON", safetensors("{not json", 8), 1, "JSON"),
        ("not UTF-8", safetensors("{", 0, length: 7) + [0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D], 1, "UTF-8"),
        ("deep JSON", safetensors("{\"a\":" + String(repeating: "[", count: 5000), 8), 1, "nested"),
        ("much JSON", safetensors("{\"a\":[0" + String(repeating: ",0", count: 5 << 20) + "]}", 8), 6, "commas"),
        ("hole", safetensors("{\(tensor("a", "[0,8]")),\(tensor("b", "[12,20]"))}", 20), 1, "leaves a gap"),
        ("overlap", safetensors("{\(tensor("a", "[0,8]")),\(tensor("b", "[4,12]"))}", 12), 1, "overlaps"),
        ("same place", safetensors("{\(tensor("a", "[0,8]")),\(tensor("b", "[0,8]"))}", 8), 1, "overlaps"),
        ("beyond the end", safetensors("{\(tensor("a", "[0,8]"))}", 4), 1, "take 8 bytes"),
        ("bytes behind", safetensors("{\(tensor("a", "[0,8]"))}", 16), 1, "take 8 bytes"),
        ("duplicate names", safetensors("{\(tensor("a", "[0,8]")),\(tensor("a", "[8,16]"))}", 16), 1, "duplicate"),
        ("negative offset", safetensors("{\(tensor("a", "[-8,0]"))}", 8), 1, "data_offsets"),
        ("backward offsets", safetensors("{\(tensor("a", "[8,0]"))}", 8), 1, "not a range"),
        ("overflowing offset", safetensors("{\(tensor("a", "[0,18446744073709551616]"))}", 8), 1, "JSON"),
        ("offsets of 63 bits", safetensors("{\(tensor("a", "[9223372036854775800,9223372036854775807]"))}", 8), 1, "is not 7 bytes"),
        ("overflowing shape", safetensors("{\(tensor("a", "[0,8]", shape: "[4294967296,4294967296]"))}", 8), 1, "not a valid shape"),
        ("negative shape", safetensors("{\(tensor("a", "[0,8]", shape: "[-2]"))}", 8), 1, "shape"),
        ("wrong size", safetensors("{\(tensor("a", "[0,8]", shape: "[3]"))}", 8), 1, "is not 8 bytes"),
        ("33 dimensions", safetensors("{\(tensor("a", "[0,8]", shape: "[" + String(repeating: "1,", count: 32) + "2]"))}", 8), 6, "33 dim"),
        ("fractional shape", safetensors("{\(tensor("a", "[0,8]", shape: "[2.0]"))}", 8), 1, "shape"),
        ("no offsets", safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8), 1, "data_offsets is missing"),
        ("metadata of numbers", safetensors("{\"__metadata__\":{\"a\":1}}", 0), 1, "__metadata__"),
        ("NUL in a name", safetensors("{\(tensor("a\\u0000b", "[0,8]"))}", 8), 6, "NUL"),
        ("empty name", safetensors("{\(tensor("", "[0,8]"))}", 8), 6, "1 to 4096 bytes"),
        ("a name of 1 MB", safetensors("{\(tensor(String(repeating: "n", count: 1 << 20), "[0,8]"))}", 8), 6, "(1048576 bytes)"),
        ("npy of objects", npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", 16), 6, "is unknown"),
        ("big-endian npy", npy("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8), 6, "big-endian"),
        ("structured npy", npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8), 6, "structured dtype"),
        ("npy of 33 dimensions", npy(npyHeader(String(repeating: "1,", count: 33)), 4), 6, "33 dimensions"),
        ("npy of nothing, endlessly", npy(npyHeader("9223372036854775807, 0"), 0), 1, "overflows"),
        ("nothing, endlessly", safetensors("{\(tensor("a", "[0,0]", shape: "[4611686018427387904,4,0]"))}", 0), 1, "overflows"),
        ("a header that is too long", safetensors("{\(String(repeating: " ", count: 100_000_000))}", 0), 6, "header has 100000002 bytes"),
        ("short npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7), 1, "takes 8 bytes"),
        ("endless npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }", 8), 1, "not a valid shape"),
        ("npy that calls", npy("{'descr': eval('1'), 'fortran_order': False, 'shape': (2,), }", 8), 1, "expected"),
        ("half an npy header", Array(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 8).prefix(30)), 1, "is longer than"),
        ("a zip's beginning", [0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 50), 1, "no end record"),
    ]

    private static func npyHeader(_ shape: String) -> String { "{'descr': '<f4', 'fortran_order': False, 'shape': (\(shape)), }" }

    private static func npy(_ header: String, _ dataBytes: Int) -> [UInt8] {
        let count = UInt16(header.utf8.count)
        return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(count & 255), UInt8(count >> 8)] + Array(header.utf8)
            + [UInt8](repeating: 0, count: dataBytes)
    }

    @Test func eachIsRefusedForWhatItIs() throws {
        let folder = try TemporaryDirectory()
        for (name, bytes, status, reason) in Self.files {
            try folder.write(bytes, to: "file")
            let run = try ckpt("import", folder.path + "/s", folder.path + "/file", "--step", "1")
            #expect(run.status == status && run.errors.contains(reason), "\(name): \(run.status) \(run.errors)")
            #expect(run.output.isEmpty && run.errors.utf8.count < 1000, "\(name)")
        }
        #expect(try folder.names(in: "") == ["file"])
    }

    @Test func whatIsOddAndInOrderIsTaken() throws {
        let folder = try TemporaryDirectory()
        let files: [(String, [UInt8])] = [
            ("null.safetensors", Self.safetensors("{\"__metadata__\":null,\(Self.tensor("a", "[0,8]"))}", 8)),
            // Kept as bytes, under a name that is data.
            ("unknown.safetensors", Self.safetensors("{\(Self.tensor("a", "[0,8]", type: "F4\u{7F}"))}", 8)),
            ("long.npy", Self.npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L), }", 8)),
        ]
        for (name, bytes) in files {
            try folder.write(bytes, to: name)
            let run = try ckpt("import", folder.path + "/s", folder.path + "/" + name, "--step", "1")
            #expect(run.status == 0 && run.output.contains("1 tensor (8 B)"), "\(name): \(run.errors)")
        }
        for count in [0, 3, 8] {
            try folder.write([UInt8](repeating: 0, count: count), to: "short.safetensors")
            let run = try ckpt("import", folder.path + "/s", folder.path + "/short.safetensors", "--step", "2")
            #expect(run.status == 1 && run.errors.contains("too short"), "\(run.errors)")
        }
    }

    /// A letter with any number of accents is one character.
    @Test func messagesAreShort() throws {
        let folder = try TemporaryDirectory()
        let name = "a" + String(repeating: "\u{301}", count: 100_000)
        try folder.write(Self.safetensors("{\(Self.tensor(name, "[0,8]"))}", 8), to: "a.safetensors")
        let run = try ckpt("import", folder.path + "/s", folder.path + "/a.safetensors", "--step", "1")
        #expect(run.status == 6 && run.errors.utf8.count < 500 && run.errors.contains("(200001 bytes)"))
    }

    /// More files than a process may open.
    @Test func moreShardsThanDescriptors() throws {
        let folder = try TemporaryDirectory()
        for number in 0..<400 {
            try folder.write(Self.safetensors("{\(Self.tensor("t\(number)", "[0,8]"))}", 8), to: "\(number).safetensors")
        }
        let command = "ulimit -Sn 256; exec \"$0\" import \"$1/s\" \"$1\" --step 1"
        let run = try execute(URL(fileURLWithPath: "/bin/sh"), ["-c", command, program.path, folder.path])
        #expect(run.status == 0 && run.output.contains("400 tensors"), "\(run.errors)")
    }

    @Test func archivesThatLieAreRefused() throws {
        let folder = try TemporaryDirectory()
        _ = try Judge.run(
            """
            import io, struct, sys, zipfile, numpy as np
            folder = sys.argv[1] + '/'
            def npy(shape, bytes):
                header = repr({'descr': '<f4', 'fortran_order': False, 'shape': shape}).encode()
                return b'\\x93NUMPY\\x01\\x00' + struct.pack('<H', len(header)) + header + bytes
            def archive(name, content, method=zipfile.ZIP_DEFLATED, change=lambda b: b):
                text = io.BytesIO()
                with zipfile.ZipFile(text, 'w', method) as z: z.writestr('a.npy', content)
                open(folder + name, 'wb').write(change(bytearray(text.getvalue())))
            zeros = npy((1 << 22,), bytes(1 << 24))
            def central(b): return b.rindex(b'PK\\x01\\x02')
            def put(b, at, form, value): struct.pack_into(form, b, at, value); return b
            archive('undeclared', zeros, change=lambda b: put(b, central(b) + 24, '<I', len(npy((4,), bytes(16)))))
            archive('declared', npy((1 << 40,), b''), change=lambda b: put(b, central(b) + 24, '<I', 0xFFFFFFF0))
            gigabyte = len(npy((1 << 28,), b'')) + (1 << 30)
            archive('ratio', npy((1 << 28,), bytes(1 << 20)), change=lambda b: put(b, central(b) + 24, '<I', gigabyte))
            archive('larger', npy((4,), bytes(400)))
            archive('checksum', npy((4,), bytes(16)), zipfile.ZIP_STORED, lambda b: put(b, central(b) + 16, '<I', 1))
            archive('deflated-checksum', npy((4,), bytes(16)), change=lambda b: put(b, central(b) + 16, '<I', 1))
            archive('cut', zeros, change=lambda b: b[:len(b) // 2])
            archive('garbage', zeros, change=lambda b: put(b, 60, '<Q', 0x1234567812345678))
            archive('method', zeros, change=lambda b: put(b, central(b) + 10, '<H', 12))
            archive('encrypted', zeros, change=lambda b: put(b, central(b) + 8, '<H', 1))
            archive('offset', zeros, change=lambda b: put(b, central(b) + 42, '<I', 0x7FFFFFFF))
            archive('other-name', zeros, change=lambda b: put(b, 30, 'B', 0x62))
            archive('entries', zeros, change=lambda b: put(put(b, len(b) - 14, '<H', 3), len(b) - 12, '<H', 3))
            text = io.BytesIO()
            with zipfile.ZipFile(text, 'w') as z:
                z.writestr('a.npy', npy((4,), bytes(16))); z.writestr('b.npy', npy((4,), bytes(16)))
            b = bytearray(text.getvalue())
            second = b.rindex(b'PK\\x01\\x02')
            struct.pack_into('<I', b, second + 42, 0)
            b[second + 46] = 0x61
            open(folder + 'overlapping', 'wb').write(b)
            with zipfile.ZipFile(folder + 'stranger', 'w') as z: z.writestr('readme.txt', 'hello')
            with zipfile.ZipFile(folder + 'dangerous', 'w') as z: z.writestr('../../etc/x.npy', npy((4,), bytes(16)))
            """, folder.path)
        let reasons: [(String, Int32, String)] = [
            ("undeclared", 1, "takes 16777216 bytes"), ("declared", 1, "not the declared 4294967280"), ("ratio", 1, "cannot be"),
            ("larger", 1, "takes 16 bytes"),
            ("checksum", 1, "checksum"), ("deflated-checksum", 1, "checksum"), ("cut", 1, "no end record"),
            ("garbage", 1, "cannot be inflated"),
            ("method", 6, "method 12"), ("encrypted", 6, "encrypted"), ("offset", 1, "outside"), ("other-name", 1, "is missing or damaged"),
            ("entries", 1, "truncated"), ("overlapping", 1, "two entries have the name"), ("stranger", 6, "without a .npy array"),
        ]
        for (name, status, reason) in reasons {
            let run = try ckpt("import", folder.path + "/s", folder.path + "/" + name, "--step", "1")
            #expect(run.status == status && run.errors.contains(reason), "\(name): \(run.status) \(run.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/s"))
        // A name is data.
        #expect(try ckpt("import", folder.path + "/s", folder.path + "/dangerous", "--step", "1").status == 0)
        #expect(try ckpt("restore", folder.path + "/s", "-o", folder.path + "/out").status == 0)
        #expect(try folder.names(in: "out") == ["00000.bin", "index.json"])
        #expect(try folder.names(in: "").allSatisfy { !$0.hasPrefix(".") })
    }

    @Test func indicesThatPointElsewhereAreRefused() throws {
        let folder = try TemporaryDirectory()
        let good = Self.safetensors("{\(Self.tensor("a", "[0,8]"))}", 8)
        try folder.write(good, to: "s.safetensors")
        try FileManager.default.createDirectory(atPath: folder.path + "/directory", withIntermediateDirectories: true)
        let indices: [(String, Int32, String)] = [
            ("{\"weight_map\":{\"a\":\"../s.safetensors\"}}", 6, "is not in the directory of the index"),
            ("{\"weight_map\":{\"a\":\"/etc/passwd\"}}", 6, "is not in the directory of the index"),
            ("{\"weight_map\":{\"a\":\"s.safetensors\",\"b\":\"s.safetensors\"}}", 1, "\"b\" is not in"),
            ("{\"weight_map\":{\"b\":\"s.safetensors\"}}", 1, "does not list it there"),
            ("{\"weight_map\":{\"a\":\"none\"}}", 1, "\"none\" is missing"),
            ("{\"weight_map\":{\"a\":\"directory\"}}", 1, "is not a file"),
            ("{\"weight_map\":{\"a\":\"x.index.json\"}}", 1, "has the name of an index"),
            ("{\"weight_map\":{\"a\":\"y.json\"}}", 1, "has the name of an index"),
            ("{\"weight_map\":[]}", 1, "weight_map"), ("[]", 1, "not an object"), ("{\"weight_map\":{}}", 1, "names no tensors"),
        ]
        for (index, status, reason) in indices {
            try folder.write(Array(index.utf8), to: "x.index.json")
            for path in [folder.path, folder.path + "/x.index.json"] {
                let run = try ckpt("import", folder.path + "/st", path, "--step", "1")
                #expect(run.status == status && run.errors.contains(reason), "\(index): \(run.status) \(run.errors)")
            }
        }
        try folder.write(Array("{\"weight_map\":{\"a\":\"s.safetensors\"}}".utf8), to: "x.index.json")
        #expect(try ckpt("import", folder.path + "/st", folder.path, "--step", "1").status == 0)
    }

    /// One letter can be written in two ways, and files have names of bytes.
    @Test func shardsWhoseNamesReadTheSameAreTwo() throws {
        let folder = try TemporaryDirectory()
        var map: [String] = []
        for (tensor, file) in [("a", "\u{E9}.safetensors"), ("b", "e\u{301}.safetensors")] {
            try folder.write(Self.safetensors("{\(Self.tensor(tensor, "[0,8]"))}", 8), to: file)
            map.append("\"\(tensor)\":\"\(file)\"")
        }
        try folder.write(Array("{\"weight_map\":{\(map.joined(separator: ","))}}".utf8), to: "x.index.json")
        let run = try ckpt("import", folder.path + "/s", folder.path, "--step", "1")
        #expect(run.status == 0 && run.output.contains("2 tensors"), "\(run.errors)")
    }
}
