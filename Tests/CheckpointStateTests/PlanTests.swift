internal import CheckpointCodecs
import CheckpointState
import CheckpointTestSupport
import Testing

@Suite("Capture plan", .timeLimit(.minutes(20)))
struct PlanTests {
    private struct Input {
        var tensors: [CapturePlan.Tensor]
        var chunkBytes: Int
        var order: [String]

        init(_ seed: UInt64) {
            var random = SeededGenerator(seed)
            chunkBytes = 1 + random.below(300)
            let sizes = [chunkBytes / 5 + 1, chunkBytes * 2 + 1, chunkBytes + 1, chunkBytes * 9 + 1]
            let names = (0..<1 + random.below(4)).map { "g\($0)" }
            tensors = []
            for _ in 0..<random.below(40) {
                let width = [1, 1, 2, 3, 8][random.below(5)]
                tensors.append(
                    CapturePlan.Tensor(
                        group: names[random.below(names.count)],
                        bytes: random.below(sizes[random.below(4)]) / width * width,
                        lane: random.below(4) == 0 ? .device : .host, width: width))
            }
            order = (names + ["absent"]).shuffled(using: &random)
        }

        var plan: CapturePlan { CapturePlan(tensors: tensors, chunkBytes: chunkBytes, groupOrder: order) }
    }

    @Test("Chunks tile each tensor, in order", arguments: Seeds.first(200))
    func chunksTileTensors(_ seed: UInt64) {
        let input = Input(seed)
        let plan = input.plan
        var seen = 0
        for (index, tensor) in input.tensors.enumerated() {
            var end = 0
            for row in plan.chunksOfTensor[index] {
                #expect(plan.chunks[row].tensor == index)
                #expect(plan.chunks[row].range.lowerBound == end && !plan.chunks[row].range.isEmpty)
                end = plan.chunks[row].range.upperBound
                seen += 1
            }
            #expect(end == tensor.bytes, "tensor \(index)")
        }
        #expect(seen == plan.chunks.count)
        #expect(plan.totalBytes == input.tensors.reduce(0) { $0 + $1.bytes })
    }

    @Test("Blocks are filled by their chunks, bounded, and of one unit", arguments: Seeds.first(200))
    func blocks(_ seed: UInt64) {
        let input = Input(seed)
        let plan = input.plan
        var nextChunk = 0
        for (index, block) in plan.blocks.enumerated() {
            #expect(block.chunks.lowerBound == nextChunk && !block.chunks.isEmpty)
            nextChunk = block.chunks.upperBound
            var end = 0
            for row in block.chunks {
                #expect(plan.chunks[row].block == index && plan.chunks[row].offset == end)
                #expect(plan.unitIndex[input.tensors[plan.chunks[row].tensor].group] == block.unit)
                #expect(input.tensors[plan.chunks[row].tensor].lane == block.lane)
                end += plan.chunks[row].range.count
            }
            #expect(end == block.bytes && (1...input.chunkBytes).contains(block.bytes))
        }
        #expect(nextChunk == plan.chunks.count)
    }

    @Test("Groups are neighbours, in the order asked for, and tensors keep theirs", arguments: Seeds.first(200))
    func groups(_ seed: UInt64) {
        let input = Input(seed)
        let plan = input.plan
        let units = plan.blocks.map(\.unit.rawValue)
        #expect(units == units.sorted())
        let present = Set(input.tensors.map(\.group))
        #expect(plan.groups == input.order.filter(present.contains))
        for (index, tensor) in input.tensors.enumerated() {
            #expect(plan.groups[plan.groupOfTensor[index].rawValue] == tensor.group)
        }
    }

    @Test("Small groups are captured together as long as they fit a chunk, large ones alone", arguments: Seeds.first(200))
    func units(_ seed: UInt64) {
        let input = Input(seed)
        let plan = input.plan
        let bytes = plan.groups.map { group in input.tensors.filter { $0.group == group }.reduce(0) { $0 + $1.bytes } }
        let units = plan.groups.map { plan.unitIndex[$0, default: -1].rawValue }
        #expect(units == units.sorted() && Set(units) == Set(0..<plan.unitCount))
        for unit in 0..<plan.unitCount {
            let members = units.indices.filter { units[$0] == unit }
            let total = members.reduce(0) { $0 + bytes[$1] }
            #expect(members.count == 1 || total <= input.chunkBytes)
            if let next = units.firstIndex(of: unit + 1) { #expect(total + bytes[next] > input.chunkBytes) }
        }
    }

    @Test("Blocks of a large tensor are neighbours, whole but for the last", arguments: Seeds.first(100))
    func largeTensors(_ seed: UInt64) {
        let input = Input(seed)
        let plan = input.plan
        for (index, tensor) in input.tensors.enumerated() where tensor.bytes >= max(input.chunkBytes / 4, 1) {
            let blocks = plan.chunksOfTensor[index].map { plan.chunks[$0].block }
            #expect(blocks == Array(blocks[0]..<blocks[0] + blocks.count))
            #expect(blocks.allSatisfy { plan.blocks[$0].chunks.count == 1 })
            // Without a part of an element, unless a chunk is too small for one.
            let whole = input.chunkBytes / tensor.width * tensor.width
            let bytes = whole > 0 ? whole : input.chunkBytes
            #expect(blocks.dropLast().allSatisfy { plan.blocks[$0].bytes == bytes })
        }
    }

    private func tensors(_ count: Int, _ bytes: Int) -> [CapturePlan.Tensor] {
        [CapturePlan.Tensor](repeating: .init(group: "g", bytes: bytes), count: count)
    }

    @Test("Without packing each tensor has blocks of its own")
    func unpacked() {
        let plan = CapturePlan(tensors: tensors(10, 20), chunkBytes: 100, packs: false)
        #expect(plan.blocks.map(\.bytes) == [Int](repeating: 20, count: 10))
    }

    @Test("Small tensors share blocks: fewer than half are wasted")
    func packing() {
        let plan = CapturePlan(tensors: tensors(1000, 100), chunkBytes: 4096)
        #expect(plan.blocks.count == 25)  // 40 tensors of 100 bytes fit a block
        let full = CapturePlan(tensors: tensors(10, 20), chunkBytes: 100)
        #expect(full.blocks.map(\.bytes) == [100, 100])
        let order = CapturePlan(tensors: ["b", "a", "b"].map { .init(group: $0, bytes: 1) }, chunkBytes: 4096)
        #expect(order.groups == ["b", "a"] && order.blocks.count == 1 && order.chunks.map(\.tensor) == [0, 1, 2])
    }
}

@Suite("Slot allocator", .timeLimit(.minutes(20)))
struct SlotAllocatorTests {
    @Test("No slot is given twice; what is given back is given again", arguments: Seeds.first(100))
    func properties(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        let count = 1 + random.below(8)
        var allocator = SlotAllocator(slotCount: count)
        var used: Set<SlotIndex> = []
        var most = 0
        for _ in 0..<200 {
            if Bool.random(using: &random) {
                let slot = allocator.take()
                #expect((slot == nil) == (used.count == count))
                if let slot {
                    #expect((0..<count).contains(slot.rawValue) && used.insert(slot).inserted)
                }
            } else if let slot = used.randomElement(using: &random) {
                allocator.giveBack(slot)
                used.remove(slot)
            }
            most = max(most, used.count)
            #expect(allocator.usedCount == used.count && allocator.hasFree == (used.count < count))
            #expect(allocator.highWaterMark == most)
        }
    }

    @Test("Spares are nobody's until given back, and are then handed out like any other")
    func spares() {
        var allocator = SlotAllocator(slotCount: 1, spareCount: 1)
        let taken = (allocator.take(), allocator.take())
        #expect(taken.0 == 0 && taken.1 == nil && allocator.spares == 1..<2)
        allocator.giveBack(1)
        #expect(allocator.usedCount == 0)
        let spare = allocator.take()
        #expect(spare == 1 && allocator.highWaterMark == 1)
    }

    @Test("Slots without memory are not given; they get some one by one, as many as are wanted")
    func memory() {
        var allocator = SlotAllocator(slotCount: 4, touchedCount: 1, spareCount: 1)
        #expect(allocator.take() == 0 && allocator.take() == nil && !allocator.needsMemory)
        allocator.want(2)
        #expect(allocator.needsMemory && allocator.usedCount == 1)
        let slot = allocator.takeUntouched()
        #expect(slot == 1 && !allocator.needsMemory)
        #expect(allocator.take() == nil && allocator.usedCount == 1 && allocator.touchedCount == 1)
        allocator.addTouched(1)
        #expect(allocator.touchedCount == 2 && allocator.needsMemory && allocator.take() == 1)
        allocator.want(100)
        for _ in 2..<4 {
            if let slot = allocator.takeUntouched() { allocator.addTouched(slot) }
        }
        #expect(allocator.touchedCount == 4 && !allocator.needsMemory && allocator.spares == 4..<5)
        #expect(allocator.freeCount == 2 && allocator.usedCount == 2)
    }

    @Test("A slot without memory is like the others once it is touched")
    func untouched() throws {
        let arena = try StagingArena(slotBytes: 8192, slotCount: 4, untouched: 1..<3)
        arena.touch(2)
        for slot in 0..<4 { #expect(arena.region(ofSlot: SlotIndex(slot)).array.allSatisfy { $0 == 0 }) }
    }

    @Test("Slots of an arena are page-aligned, of equal size, and do not overlap")
    func arena() throws {
        let arena = try StagingArena(slotBytes: 8192, slotCount: 5)
        for slot in 0..<5 {
            let region = arena.region(ofSlot: SlotIndex(slot))
            #expect(region.count == 8192)
            region.store([UInt8](repeating: UInt8(slot + 1), count: 8192)[...])
            #expect(unsafe UInt(bitPattern: region.bytes.baseAddress) % 4096 == 0)
        }
        for slot in 0..<5 {
            let bytes = arena.region(ofSlot: SlotIndex(slot)).array
            #expect(bytes.allSatisfy { $0 == UInt8(slot + 1) })
        }
    }
}
