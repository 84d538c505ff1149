import CheckpointCodecs
import CheckpointFormat
import CheckpointState
import CheckpointTestSupport
import Foundation
import Testing

/// Element types that safetensors and ml_dtypes have, judged by both.
@Suite(.timeLimit(.minutes(20))) struct ElementTypeTests {
    /// Names in ml_dtypes.
    private static let small: [(ElementType, String)] = [
        (.f8e4m3, "float8_e4m3fn"), (.f8e5m2, "float8_e5m2"), (.f8e8m0, "float8_e8m0fnu"),
        (.f8e4m3fnuz, "float8_e4m3fnuz"),
        (.f8e5m2fnuz, "float8_e5m2fnuz"), (.f8e4m3b11fnuz, "float8_e4m3b11fnuz"),
        (.f8e4m3ieee, "float8_e4m3"),
        (.f8e3m4, "float8_e3m4"), (.f6e2m3, "float6_e2m3fn"), (.f6e3m2, "float6_e3m2fn"),
        (.f4e2m1, "float4_e2m1fn"), (.i4, "int4"),
        (.u4, "uint4"), (.i2, "int2"), (.u2, "uint2"), (.i1, "int1"), (.u1, "uint1"),
    ]

    @Test func everyBitPatternHasTheValueThatMLDTypesGivesIt() throws {
        let printed = try Judge.run(
            """
            import sys, numpy as np, ml_dtypes
            for name in sys.argv[1:]:
                kind = np.dtype(getattr(ml_dtypes, name))
                digits = name.split('_')[0].lstrip('uintfloat')
                bits = int(digits)
                values = np.arange(1 << bits, dtype='u1').view(kind).astype('f8')
                print(*(np.float64(v).hex() if v == v else 'nan' for v in values))
            """, Self.small.map(\.1))
        let lines = printed.split(separator: "\n")
        try #require(lines.count == Self.small.count)
        for ((type, name), line) in zip(Self.small, lines) {
            // All patterns, packed as the format packs them.
            var (bytes, pending, count) = ([UInt8](), 0, 0)
            for pattern in 0..<1 << type.bits {
                pending |= pattern << count
                count += type.bits
                while count >= 8 {
                    bytes.append(UInt8(truncatingIfNeeded: pending))
                    (pending, count) = (pending >> 8, count - 8)
                }
            }
            if count > 0 { bytes.append(UInt8(pending)) }
            let packed = try TensorBuffer(.u8, [bytes.count], bytes: bytes)
            var found: [Double] = []
            ElementValues.forEach(packed.region, type) { found.append($0) }
            let expected = line.split(separator: " ").map {
                $0 == "inf" ? .infinity : $0 == "-inf" ? -.infinity : Double(Substring($0)) ?? .nan
            }
            // One byte holds all patterns of one bit, and more.
            for (pattern, (a, b)) in zip(expected, found).enumerated() {
                #expect(
                    a == b && a.sign == b.sign || a.isNaN && b.isNaN,
                    "\(name) \(pattern): \(a) \(b)")
            }
            #expect(found.count >= expected.count && expected.count == 1 << type.bits)
        }
    }

    @Test func statisticsAndDifferencesOfComplexNumbers() throws {
        let parts: [Float] = [3, 4, 0, 0, 1, 0]
        let bytes = parts.flatMap { value in
            (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) }
        }
        let before = try TensorBuffer(.c64, [3], bytes: bytes)
        var statistics = TensorStatistics()
        statistics.add(before.region, of: .c64)
        #expect(
            statistics.elements == 3 && statistics.range == 0...5 && statistics.squares == 26
                && statistics.zeros == 1)
        var other = bytes
        other.replaceSubrange(0..<8, with: bytes[8..<16])
        let difference = before.difference(to: try TensorBuffer(.c64, [3], bytes: other))
        #expect(
            difference.compared == 3 && difference.changed == 1 && difference.largest == 5
                && difference.norm == 5)
    }

    @Test func differencesOfPackedElements() throws {
        let (a, b) = (
            try TensorBuffer(.i4, [4], bytes: [0x21, 0xF3]),
            try TensorBuffer(.i4, [4], bytes: [0x21, 0x83])
        )
        let difference = a.difference(to: b)
        #expect(difference.compared == 4 && difference.changed == 1 && difference.largest == 7)
    }

    /// A file of every element type of safetensors, and of one that nobody has, made by hand.
    private static let allTypes = """
        import json, struct
        BITS = {'F64': 64, 'F32': 32, 'F16': 16, 'BF16': 16, 'I64': 64, 'I32': 32, 'I16': 16, 'I8': 8, 'U64': 64, 'U32': 32, 'U16': 16,
                'U8': 8, 'BOOL': 8, 'F8_E4M3': 8, 'F8_E5M2': 8, 'F8_E8M0': 8, 'F8_E4M3FNUZ': 8, 'F8_E5M2FNUZ': 8, 'C64': 64, 'F4': 4,
                'F6_E2M3': 6, 'F6_E3M2': 6}
        def make(path, more={}):
            head, data = {'__metadata__': {'format': 'tf', 'step': '7', 'run': 'mine'}}, b''
            for n, (kind, bits) in enumerate({**BITS, **more}.items()):
                size = 24 * bits // 8
                head['t.' + kind] = {'dtype': kind, 'shape': [2, 3, 4], 'data_offsets': [len(data), len(data) + size]}
                data += bytes((n * 37 + i * 11) % 2 if kind == 'BOOL' else (n * 37 + i * 11) % 256 for i in range(size))
            text = json.dumps(head).encode()
            open(path, 'wb').write(struct.pack('<Q', len(text)) + text + data)
        def read(path):
            b = open(path, 'rb').read()
            n = struct.unpack('<Q', b[:8])[0]
            head = json.loads(b[8:8 + n])
            data = lambda v: b[8 + n:][slice(*v['data_offsets'])]
            return head.pop('__metadata__'), {k: (v['dtype'], v['shape'], data(v)) for k, v in head.items()}

        """

    @Test(arguments: ["none", "max"])
    func everyTypeOfSafetensorsComesBack(_ compression: String) throws {
        let folder = try TemporaryDirectory()
        _ = try Judge.run(
            Self.allTypes + "import sys\nmake(sys.argv[1], {'F8_E9M9': 8, 'Q3_K': 3})",
            folder.path + "/a.safetensors")
        let run = try ckpt(
            "import", folder.path + "/s", folder.path + "/a.safetensors", "--compression",
            compression)
        #expect(
            run.status == 0
                && run.errors.contains("2 of 24 tensors have unknown element types"),
            "\(run.errors)")
        for out in ["b.safetensors", "sharded"] {
            let path = folder.path + "/" + out
            #expect(
                try ckpt("export", folder.path + "/s", "-o", path, "--max-shard-size", "500").status
                    == 0)
            let verdict = try Judge.run(
                Self.allTypes + """
                    import sys, os
                    meta, a = read(sys.argv[1])
                    files = [sys.argv[2]]
                    if os.path.isdir(sys.argv[2]):
                        files = [sys.argv[2] + '/' + f for f in os.listdir(sys.argv[2]) if f.endswith('.safetensors')]
                    b = {}
                    for f in files:
                        found, tensors = read(f)
                        b.update(tensors)
                        assert all(k in meta or k.startswith('ckpt.') for k in found) and {k: found[k] for k in meta} == meta, found
                    assert a == b
                    print(len(b), found['ckpt.step'])
                    """, folder.path + "/a.safetensors", path)
            // The step that stands in the file's own metadata.
            #expect(verdict == "24 7\n")
        }
        #expect(try ckpt("verify", folder.path + "/s").status == 0)
    }

    @Test func theLibraryReadsWhatIsExported() throws {
        let folder = try TemporaryDirectory()
        _ = try Judge.run(
            Self.allTypes + "import sys\nmake(sys.argv[1])", folder.path + "/a.safetensors")
        #expect(try ckpt("import", folder.path + "/s", folder.path + "/a.safetensors").status == 0)
        #expect(
            try ckpt("export", folder.path + "/s", "-o", folder.path + "/b.safetensors").status == 0
        )
        let verdict = try Judge.run(
            Self.allTypes + """
                import sys
                from safetensors import deserialize
                both = [{n: (t['dtype'], t['shape'], bytes(t['data'])) for n, t in deserialize(open(p, 'rb').read())} for p in sys.argv[1:]]
                assert both[0] == both[1]
                print(len(both[0]))
                """, folder.path + "/a.safetensors", folder.path + "/b.safetensors")
        #expect(verdict == "22\n")
    }

    /// Types that safetensors does not have go out as bytes, and come in as they were.
    @Test func typesThatSafetensorsLacksSurviveAnExport() throws {
        let folder = try TemporaryDirectory()
        let types: [ElementType] = [
            .c128, .c32, .bc32, .f8e4m3b11fnuz, .f8e4m3ieee, .f8e3m4, .i4, .u4, .i2, .u2, .i1, .u1,
        ]
        var files: [String] = []
        for type in types {
            try folder.write(
                (0..<4 * type.bits).map { UInt8(truncatingIfNeeded: $0 * 7) }, to: type.rawValue)
            let store = folder.path + "/s-" + type.rawValue
            let raw = [
                "--format", "raw", "--dtype", type.rawValue, "--shape", "4,8", "--name",
                type.rawValue,
            ]
            #expect(
                try ckpt(["import", store, folder.path + "/" + type.rawValue] + raw).status == 0)
            files.append(folder.path + "/" + type.rawValue + ".safetensors")
            let export = try ckpt("export", store, "-o", files[files.count - 1])
            #expect(export.status == 0)
            #expect(
                export.output.contains(
                    "1 tensor of a type that safetensors does not have (\(type.rawValue)): exported as bytes"))
        }
        #expect(try ckpt(["import", folder.path + "/again"] + files).status == 0)
        let tensors = try ckpt("inspect", folder.path + "/again", "--digests", "--stats", "--json")
            .json().list("tensors")
        #expect(tensors.count == types.count)
        for (type, tensor) in zip(types, tensors) {
            #expect(
                tensor.text("type") == type.rawValue && tensor.members["shape"] as? [Int] == [4, 8])
            #expect(
                tensor.text("digest")
                    == Hashing.digest(try folder.bytes(of: type.rawValue)[...]).description)
        }
        let reader = try runProcess(
            "/usr/bin/python3",
            [
                checkout.appendingPathComponent("Formats/reader/read_checkpoint.py").path,
                folder.path + "/again", "--verify",
            ])
        #expect(reader.status == 0, "\(reader.errors)")
    }

    /// Numpy writes of the types of ml_dtypes only the width.
    @Test func arraysOfMLDTypes() throws {
        let folder = try TemporaryDirectory()
        _ = try Judge.run(
            """
            import sys, numpy as np, ml_dtypes as ml
            d = sys.argv[1]
            x = np.arange(6).reshape(2, 3)
            np.save(d + '/bf16.npy', np.asfortranarray(x.astype(ml.bfloat16)))
            np.save(d + '/e5m2.npy', x.astype(ml.float8_e5m2))
            np.save(d + '/e4m3.npy', x.astype(ml.float8_e4m3fn))
            np.save(d + '/c.npy', x.astype('c8') * 1j)
            text = repr({'descr': 'bfloat16', 'fortran_order': False, 'shape': (2, 3)}) + '\\n'
            head = b'\\x93NUMPY\\x01\\x00' + len(text).to_bytes(2, 'little') + text.encode()
            open(d + '/named.npy', 'wb').write(head + x.astype(ml.bfloat16).tobytes())
            config = np.array({'lr': 1e-3}, dtype=object)
            np.savez(d + '/mixed.npz', w=x.astype('f4'), names=np.array(['conv1', 'conv2']), config=config, epoch=3)
            """, folder.path)
        let files = ["bf16", "e5m2", "e4m3", "c", "named"].map { folder.path + "/" + $0 + ".npy" }
        let run = try ckpt(["import", folder.path + "/s"] + files)
        #expect(
            run.status == 0 && run.errors.contains("array \"e4m3\": its type <V1 states only"),
            "\(run.errors)")
        let inspected = try folder.inspected("s")
        let types = ["bf16", "e5m2", "e4m3", "c", "named"].map {
            inspected.element("tensors", named: $0)?.text("type")
        }
        #expect(types == ["bf16", "f8e5m2", "u8", "c64", "bf16"])
        #expect(
            inspected.element("tensors", named: "bf16")?.text("digest")
                == inspected.element("tensors", named: "named")?.text("digest"))
        let told = try ckpt(
            "import", folder.path + "/t", folder.path + "/e4m3.npy", "--numpy-type", "f8e4m3")
        #expect(told.status == 0 && told.errors.isEmpty)
        #expect(
            try folder.inspected("t").element("tensors", named: "e4m3")?.text("type") == "f8e4m3")
        // The names that ml_dtypes has for the types are known; one of another width is told.
        let named = try ckpt(
            "import", folder.path + "/n", folder.path + "/e4m3.npy", "--numpy-type", "float8_e4m3fn",
            "--json")
        #expect(try named.json().list("tensors").first?.text("type") == "f8e4m3")
        let wide = try ckpt(
            "import", folder.path + "/w", folder.path + "/e4m3.npy", "--numpy-type", "f64")
        #expect(
            wide.status == 0
                && wide.errors.contains(
                    "imported as u8. f64, which --numpy-type names, does not have that width"))
        let unknown = try ckpt(
            "import", folder.path + "/w", folder.path + "/e4m3.npy", "--numpy-type", "float9")
        #expect(unknown.status == 2 && unknown.errors.contains("f8e4m3fnuz, "))
        let refused = try ckpt("import", folder.path + "/u", folder.path + "/mixed.npz")
        #expect(
            refused.status == 6 && refused.errors.contains("array \"names\"")
                && refused.errors.contains("--skip-objects"))
        let skipping = try ckpt(
            "import", folder.path + "/u", folder.path + "/mixed.npz", "--skip-objects", "--json"
        ).json()
        #expect(
            skipping.list("tensors").count == 2
                && skipping.list("left_out").compactMap { $0.text("name") } == [
                    "names.npy", "config.npy",
                ])
    }
}
