import CheckpointCodecs
import CheckpointFormat
import CheckpointSharding
import CheckpointState
import CheckpointTestSupport
import Testing

func view(_ bytes: [UInt8]) throws -> TensorView {
    try TensorView(try OwnedBytes(bytes).lent, type: .u8, shape: [bytes.count])
}

extension TensorView {
    var captured: [UInt8] {
        get throws {
            let slot = try OwnedBytes(zeros: byteCount)
            _ = try capture(0..<byteCount, to: slot.region)
            return slot.bytes
        }
    }
}

@Suite("Inventory", .timeLimit(.minutes(20)))
struct InventoryTests {
    @Test("Names nest, groups are inherited, order is that of the description")
    func nesting() throws {
        let tensor = try view([1])
        let state = CompositeState {
            CompositeState("model", group: "body") {
                TensorState("weight", tensor)
                CompositeState("head", group: "head") { TensorState("bias", tensor, role: .buffer) }
                CompositeState { TensorState("own", tensor, group: "mine") }
                CompositeState("plain") { TensorState("w", tensor) }
            }
            RawBytesState("raw", tensor.memory)
            ObjectState("rng", role: .rng, get: { 1 }, set: { _ in })
        }
        let inventory = try StateInventory(of: state)
        #expect(
            inventory.tensors.map(\.name) == ["model.weight", "model.head.bias", "model.own", "model.plain.w", "raw"])
        #expect(inventory.tensors.map(\.group) == ["body", "head", "mine", "body", StateInventory.defaultGroup])
        #expect(inventory.tensors.map(\.role) == [.parameter, .buffer, .parameter, .parameter, .other])
        #expect(inventory.objects.map(\.name) == ["rng"] && inventory.objects.map(\.role) == [.rng])
    }

    @Test("A child that throws leaves prefix and group as they were")
    func throwing() throws {
        struct Failure: Error {}
        var inventory = StateInventory()
        #expect(throws: Failure.self) { try inventory.nest("a", group: "g") { _ in throw Failure() } }
        inventory.add(tensor: "t", try view([1]), role: .other)
        #expect(inventory.tensors[0].name == "t" && inventory.tensors[0].group == StateInventory.defaultGroup)
    }

    @Test("Names: duplicates, empty ones and overlong ones are refused, equivalent ones are different")
    func names() throws {
        let tensor = try view([1])
        func check(_ names: [String]) -> Bool {
            (try? StateInventory(of: CompositeState(children: names.map { TensorState($0, tensor) }))) != nil
        }
        func checkObjects(_ names: [String]) -> Bool {
            (try? StateInventory(of: CompositeState(children: names.map { ObjectState($0, get: { 1 }, set: { _ in }) }))) != nil
        }
        for check in [check, checkObjects] {
            #expect(check(["a", "b", ""]) == false)
            #expect(check(["a", "b", "a"]) == false)
            #expect(check([String(repeating: "\u{E9}", count: 2049)]) == false)
            #expect(check(["a", "b", String(repeating: "\u{E9}", count: 2048), "../x\n\u{0}"]))
            #expect(check(["caf\u{E9}", "cafe\u{301}"]))
        }
        // A tensor and an object may share a name.
        let both = CompositeState {
            TensorState("x", tensor)
            ObjectState("x", get: { 1 }, set: { _ in })
        }
        #expect(throws: Never.self) { try StateInventory(of: both) }
    }

    @Test("Shards of one tensor share its name, if they agree and have nothing in common")
    func sharedName() throws {
        let memory = try view([UInt8](repeating: 1, count: 6))
        func text(_ states: any StateProvider...) -> String {
            do { _ = try StateInventory(of: CompositeState(children: states)) } catch {
                return "\(error)"
            }
            return ""
        }
        func row(_ index: Int, _ rows: Int = 4) throws -> TensorShard {
            try TensorShard(offset: [index, 0], extent: [1, 6], of: [rows, 6])
        }
        let first = TensorState("w", memory, of: try row(0))
        #expect(text(first, TensorState("v", memory), TensorState("w", memory, of: try row(2))) == "")
        #expect(text(first, TensorState("w", memory)).contains("two tensors have the name w"))
        #expect(text(TensorState("w", memory), first).contains("two tensors have the name w"))
        let same = text(first, TensorState("w", memory, of: try row(0)))
        #expect(same.contains("two shards of tensor w have the same elements"))
        let halves = try TensorShard(offset: [0, 3], extent: [2, 3], of: [4, 6])
        #expect(text(first, TensorState("w", memory, of: halves)).contains("the same elements"))
        for other in [
            TensorState("w", memory, of: try row(1, 5)),
            TensorState("w", memory, of: try row(1), role: .buffer),
            TensorState("w", memory, of: try row(1), group: "other"),
        ] {
            #expect(text(first, other).contains("shards of tensor w are declared with different"))
        }
        let nothing = try TensorSharding([4, 6]).only("pp", at: 1).shard(
            of: 0, in: RankMesh(["pp": 2]))
        #expect(text(TensorState("w", try view([]), of: nothing), first) == "")
    }

    @Test("The builder takes ifs, loops, lists and nothing at all", arguments: [true, false])
    func builder(_ flag: Bool) throws {
        let tensor = try view([1])
        let state = CompositeState {
            if flag { TensorState("if", tensor) }
            if flag { TensorState("then", tensor) } else { TensorState("else", tensor) }
            for index in 0..<2 { TensorState("for\(index)", tensor) }
            [TensorState("list", tensor), CompositeState {}]
            CompositeState {}
        }
        let expected = flag ? ["if", "then", "for0", "for1", "list"] : ["else", "for0", "for1", "list"]
        #expect(try StateInventory(of: state).tensors.map(\.name) == expected)
    }

    @Test("Any tree of providers describes the bytes of the flat list", arguments: Seeds.first(80))
    func trees(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        var flat: [(name: String, group: String, bytes: [UInt8])] = []
        let tree = try randomTree(&random, "", StateInventory.defaultGroup, depth: 0, &flat)
        let found = try StateInventory(of: tree).tensors
        #expect(found.map(\.name) == flat.map(\.name))
        #expect(found.map(\.group) == flat.map(\.group))
        #expect(try found.map { try $0.view.captured } == flat.map(\.bytes))
    }

    /// A node and its children; appends to `flat` what its leaves should be seen as.
    private func randomTree(
        _ random: inout SeededGenerator, _ prefix: String, _ group: String, depth: Int,
        _ flat: inout [(name: String, group: String, bytes: [UInt8])]
    ) throws -> any StateProvider {
        let name = random.below(3) == 0 ? "" : "n\(flat.count)_\(depth)"
        let own = random.below(3) == 0 ? "g\(random.below(4))" : nil
        let path = name.isEmpty ? prefix : prefix + name + "."
        var children: [any StateProvider] = []
        for _ in 0..<random.below(4) {
            if depth < 4 && Bool.random(using: &random) {
                children.append(try randomTree(&random, path, own ?? group, depth: depth + 1, &flat))
            } else {
                let bytes = random.bytes(1 + random.below(20))
                let leaf = random.below(3) == 0 ? "own\(random.below(3))" : nil
                flat.append((path + "t\(flat.count)", leaf ?? own ?? group, bytes))
                children.append(TensorState("t\(flat.count - 1)", try view(bytes), group: leaf))
            }
        }
        return CompositeState(name, group: own, children: children)
    }
}
