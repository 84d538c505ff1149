internal import CheckpointMaintenance
import CheckpointFormat
import CheckpointState
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// Differences of tensors, element by element and chunk by chunk.
@Suite(.timeLimit(.minutes(20))) struct ComparisonTests {
    private func tensor<Bits: FixedWidthInteger>(_ type: ElementType, _ bits: [Bits]) throws -> TensorBuffer {
        let bytes = bits.flatMap { value in (0..<Bits.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
        return try TensorBuffer(type, [bits.count], bytes: bytes)
    }

    /// 1.5 and the subnormal 2^-9 against 448, the largest, in E4M3; 1.5 against 57344 in E5M2.
    @Test func floatsOfOneByte() throws {
        let e4m3 = try difference(.f8e4m3, [0x3C, 0x01, 0x7F] as [UInt8], [0x7E, 0x01, 0xFF])
        #expect(e4m3.largest == 446.5 && e4m3.nonFinite == 1)
        #expect(e4m3.squaresBefore == 1.5 * 1.5 + 0x1p-18)
        #expect(try difference(.f8e5m2, [0x3E] as [UInt8], [0x7B]).largest == 57342.5)
    }

    @Test func epsilonCountsWhatIsFurtherApart() throws {
        let (a, b) = (try tensor(.i32, [0, 0, 0, 0] as [Int32]), try tensor(.i32, [0, 1, 2, 3] as [Int32]))
        #expect(a.difference(to: b, epsilon: 2).beyond == 1 && a.difference(to: b).beyond == 3)
        let nan = try difference(.f32, [Float.nan.bitPattern], [Float.nan.bitPattern + 1])
        #expect(nan.beyond == 1)
    }

    @Test func cosineIsThatOfTheTwoVectors() throws {
        let opposite = try difference(.f64, [1.0, 2].map(\.bitPattern), [-1.0, -2].map(\.bitPattern))
        #expect(abs((opposite.cosine ?? 0) + 1) < 1e-15)
        #expect(try difference(.f64, [1.0, 0].map(\.bitPattern), [0.0, 1].map(\.bitPattern)).cosine == 0)
        #expect(try difference(.f64, [0.0].map(\.bitPattern), [1.0].map(\.bitPattern)).cosine == nil)
    }

    private func difference<Bits: FixedWidthInteger>(
        _ type: ElementType, _ a: [Bits], _ b: [Bits]
    ) throws -> ElementDifference {
        try tensor(type, a).difference(to: tensor(type, b))
    }

    /// 1, 2, 3 against 1, 4, 3 in each floating type.
    @Test func floatsOfEveryWidth() throws {
        let (a, b) = ([1.0, 2, 3], [1.0, 4, 3])
        let all = [
            try difference(.f64, a.map(\.bitPattern), b.map(\.bitPattern)),
            try difference(.f32, a.map { Float($0).bitPattern }, b.map { Float($0).bitPattern }),
            try difference(.f16, a.map { Float16($0).bitPattern }, b.map { Float16($0).bitPattern }),
            try difference(.bf16, a.map { Float($0).bitPattern >> 16 }.map(UInt16.init), [0x3F80, 0x4080, 0x4040]),
        ]
        for difference in all {
            #expect(difference.compared == 3 && difference.changed == 1)
            #expect(difference.largest == 2 && difference.norm == 2)
            #expect(difference.squaresBefore == 14 && difference.squaresAfter == 26 && difference.product == 18)
        }
    }

    @Test func integersAreExactAtTheirEnds() throws {
        let signed = try difference(.i64, [Int64.min, .max - 1], [.max, .max])
        #expect(signed.largest == Double(UInt64.max) && signed.changed == 2)
        #expect(try difference(.u64, [UInt64.max], [.max - 1]).largest == 1)
        #expect(try difference(.i8, [Int8.min], [.max]).largest == 255)
        #expect(try difference(.u8, [0, 255] as [UInt8], [255, 0]).norm == (2.0 * 255 * 255).squareRoot())
        #expect(try difference(.bool, [0, 0] as [UInt8], [1, 0]).largest == 1)
    }

    @Test func whatIsNoNumberIsCountedApart() throws {
        let nan = Float.nan.bitPattern
        let found = try difference(.f32, [nan, nan, Float(1).bitPattern, 0], [nan, 0, nan, Float(-0.0).bitPattern])
        #expect(found.changed == 3 && found.nonFinite == 2)
        #expect(found.largest == 0 && found.relativeNorm == nil)
    }

    @Test func anEmptyTensorEqualsItself() throws {
        let difference = try TensorBuffer(.f32, [0, 3]).difference(to: TensorBuffer(.f32, [0, 3]))
        #expect(difference.compared == 0 && difference.norm == 0 && difference.relativeNorm == nil)
    }

    /// The same bytes in chunks of another size are equal, but that shows only when they are read.
    @Test func anotherTilingIsNoDifference() throws {
        let folder = try TemporaryDirectory()
        let trainer = try Trainer()
        let stores = try [4096, 8192].map { bytes in
            let store = try CheckpointStore.open("\(folder.path)/\(bytes)", for: .writing)
            var options = CheckpointerOptions()
            options.chunkBytes = bytes
            options.arenaBytes = 1 << 20
            let checkpointer = try Checkpointer(store: store, state: trainer.state(), options: options)
            try checkpointer.save(step: 1).wait()
            try checkpointer.close()
            return store
        }
        let result = try stores[0].compare(.latest, with: .latest, of: stores[1])
        #expect(result.isEqual)
        #expect(result.readBytes == 4 * 16384)
        #expect(try stores[0].compare(.latest, with: .latest).readBytes == 0)
    }

    /// One tensor as two shards, each a chunk of 32 rows: the same elements, then cut by columns, which puts other elements together.
    @Test func anotherShardingIsComparedElementByElement() throws {
        let sample = try Sample()
        func forge(step: Int, _ descriptors: [ShardDescriptor]) throws {
            try sample.forge { manifest in
                manifest.step = step
                let first = manifest.tensors[0].shards[0].chunks.lowerBound
                manifest.tensors[0].shards = descriptors.enumerated().map { .init(descriptor: $1, chunks: first + $0..<first + $0 + 1) }
            }
        }
        func diff(_ step: String) throws -> Fields { try ckpt("diff", sample.store, "20", step, "--json").json() }
        try forge(step: 30, [.init(offset: [0, 0], extent: [32, 64]), .init(offset: [32, 0], extent: [32, 64])])
        let rows = try diff("30")
        #expect(rows.flag("equal") == true && rows.integer("read_bytes") == 2 * 16384)
        try forge(step: 31, [.init(offset: [0, 0], extent: [64, 32]), .init(offset: [0, 32], extent: [64, 32])])
        let weight = try #require(try diff("31").element("tensors", named: "model.weight")).object("difference")
        let distances = (0..<4096).map { index in
            let (row, column) = (index / 64, index % 64)
            return abs(index - (column / 32 * 2048 + row * 32 + column % 32))
        }
        #expect(weight.integer("compared") == 4096 && weight.integer("changed") == distances.count { $0 > 0 })
        #expect(weight.number("max_abs") == Double(distances.max() ?? 0) / 8)
        let norm = (distances.reduce(0.0) { $0 + Double($1 * $1) / 64 }).squareRoot()
        #expect(abs((weight.number("l2") ?? 0) / norm - 1) < 1e-12)
    }

    @Test func aChangedTensorIsReadWholeIfAsked() throws {
        let sample = try Sample()
        let trainer = try Trainer()
        var options = CheckpointerOptions()
        (options.chunkBytes, options.arenaBytes) = (8192, 1 << 20)
        let checkpointer = try Checkpointer(store: openSoon(sample.store, for: .writing), state: trainer.state(), options: options)
        checkpointer.mutate { trainer.weight.region.prefix(4).store([0, 0, 0, 64]) }
        try checkpointer.save(step: 40).wait()
        try checkpointer.close()
        for (arguments, compared) in [([], 2048), (["--whole"], 4096)] {
            let json = try ckpt(["diff", sample.store, "10", "40", "--tensor", "model.*", "--json"] + arguments).json()
            let weight = try #require(json.element("tensors", named: "model.weight")).object("difference")
            #expect(weight.integer("compared") == compared && weight.integer("changed") == 1 && weight.number("max_abs") == 2)
            // 0, 1/8, 2/8 ... in which the first has become 2.
            let all = (0..<compared).reduce(0.0) { $0 + Double($1 * $1) / 64 }
            #expect(abs((weight.number("cosine") ?? 0) - (all / (all + 4)).squareRoot()) < 1e-12)
            #expect(json.integer("read_bytes") == 2 * 4 * compared)
        }
    }

    @Test func anotherShapeIsAnotherForm() throws {
        let sample = try Sample()
        try sample.forge { $0.tensors[0].shape = [4096]; $0.tensors[0].shards[0].region = .box(.init(whole: [4096])) }
        let json = try ckpt("diff", sample.store, "20", "30", "--json").json()
        let weight = try #require(json.element("tensors", named: "model.weight"))
        #expect(weight.text("change") == "form")
        #expect(weight.object("after").members["shape"] as? [Int] == [4096])
        #expect(weight.object("difference").members.isEmpty)
    }
}

extension TensorBuffer {
    /// Compares with a tensor of the same type and shape.
    func difference(to after: TensorBuffer, epsilon: Double = 0) -> ElementDifference {
        precondition(type == after.type && shape == after.shape)
        var difference = ElementDifference(epsilon: epsilon)
        difference.add(region, after.region, of: type)
        return difference
    }
}
