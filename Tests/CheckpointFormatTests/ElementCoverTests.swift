import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Regular sets of elements", .timeLimit(.minutes(20)))
struct ElementCoverTests {
    /// Every position of a set, from its definition.
    private func positions(_ set: StridedElements) -> [Int] {
        set.dimensions.reduce([set.offset]) { starts, dimension in
            starts.flatMap { start in (0..<dimension.count).map { start + $0 * dimension.stride } }
        }
    }

    /// A set with up to three dimensions; not always valid.
    private func set(_ random: inout SeededGenerator) -> StridedElements {
        StridedElements(
            offset: random.below(30) - 1,
            dimensions: (0..<random.below(4)).map { _ in
                .init(count: random.below(5), stride: random.below(14) - 1)
            })
    }

    @Test("A valid set has no position twice, and none outside", arguments: Seeds.first(2000))
    func validity(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        let set = set(&random)
        guard set.isValid(below: 40) else { return }
        let found = positions(set)
        #expect(
            !found.isEmpty && Set(found).count == found.count
                && found.allSatisfy { (0..<40).contains($0) })
        #expect(found.count == set.count && found.max() == set.offset + set.reach)
        #expect(positions(set.normalized).sorted() == found.sorted())
        let sorted = found.sorted()
        #expect(
            set.runCount == 1 + zip(sorted, sorted.dropFirst()).count { $0 + 1 != $1 }
                || set.normalized.dimensions.last?.stride != 1)
    }

    @Test("Sets that overflow are invalid")
    func overflow() {
        func set(_ offset: Int, _ dimensions: (Int, Int)...) -> StridedElements {
            .init(offset: offset, dimensions: dimensions.map { .init(count: $0.0, stride: $0.1) })
        }
        #expect(!set(0, (2, .max)).isValid(below: .max))
        #expect(!set(0, (.max, .max)).isValid(below: .max))
        #expect(!set(0, (.max, 1), (2, .max)).isValid(below: .max))
        #expect(!set(1, (.max, 1)).isValid(below: .max))
        #expect(set(0, (.max, 1)).isValid(below: .max))
        #expect(!set(.max).isValid(below: .max) && !set(-1).isValid(below: 3))
        #expect(!set(0, (0, 1)).isValid(below: 3) && !set(0, (-1, 1)).isValid(below: 3))
        #expect(!set(0, (2, 0)).isValid(below: 3) && set(0, (1, 0)).isValid(below: 3))
        #expect(!set(0).isValid(below: 0))
    }

    /// Valid sets of one tensor that overlap more or less.
    private func sets(_ shape: [Int], _ random: inout SeededGenerator) -> [StridedElements] {
        let elements = shape.reduce(1, *)
        var sets: [StridedElements] = []
        for _ in 0..<200 {
            var set = set(&random)
            set.offset = random.below(elements)
            guard set.isValid(below: elements) else { continue }
            let taken = Set(sets.flatMap(positions))
            if taken.isDisjoint(with: positions(set)) || random.below(60) == 0 { sets.append(set) }
        }
        // Fills the rest with runs, perhaps all of it.
        let taken = Set(sets.flatMap(positions))
        let rest = (0..<elements).filter { !taken.contains($0) }
        let isComplete = random.below(3) > 0
        for position in rest where isComplete || random.below(40) > 0 {
            sets.append(StridedElements(position..<position + 1))
        }
        return sets
    }

    @Test("The check finds what a count of every element finds", arguments: Seeds.first(500))
    func cover(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        let shape = (0..<random.below(4)).map { _ in 1 + random.below(6) }
        let sets = sets(shape, &random)
        var counts = [Int](repeating: 0, count: shape.reduce(1, *))
        for position in sets.flatMap(positions) { counts[position] += 1 }
        switch ElementCover.fault(sets, in: shape) {
        case nil: #expect(counts.allSatisfy { $0 == 1 }, "seed \(seed)")
        case .hole(let hole):
            #expect(
                hole.count > 0 && positions(hole).allSatisfy { counts[$0] == 0 }, "seed \(seed)")
        case .overlap(let elements, let a, let b):
            let common = Set(positions(sets[a])).intersection(positions(sets[b]))
            #expect(
                a != b && elements.count > 0 && common.isSuperset(of: positions(elements)),
                "seed \(seed)")
        case .irregular: Issue.record("small sets are never irregular")
        }
        switch ElementCover.fault(sets, in: shape, allowsHoles: true) {
        case nil: #expect(counts.allSatisfy { $0 <= 1 }, "seed \(seed)")
        case .overlap(let elements, _, _):
            #expect(positions(elements).allSatisfy { counts[$0] > 1 }, "seed \(seed)")
        case .hole, .irregular: Issue.record("holes are allowed")
        }
    }

    @Test("Boxes that no straight cut separates are checked, too", arguments: [3, 30])
    func pinwheel(_ size: Int) {
        // Four long boxes around a small one, in each of many blocks.
        var sets: [StridedElements] = []
        let shape = [3 * size, 3 * size]
        for row in 0..<size {
            for column in 0..<size {
                for (r, c, height, width) in [
                    (0, 0, 1, 2), (0, 2, 2, 1), (2, 1, 1, 2), (1, 0, 2, 1), (1, 1, 1, 1),
                ] {
                    let box = ShardDescriptor(
                        offset: [3 * row + r, 3 * column + c], extent: [height, width])
                    sets.append(StridedElements(box, in: shape))
                }
            }
        }
        #expect(ElementCover.fault(sets, in: shape) == nil)
        let last = sets.removeLast()
        #expect(ElementCover.fault(sets, in: shape) == .hole(last.normalized))
        sets += [last, last]
        #expect(
            ElementCover.fault(sets, in: shape)
                == .overlap(last.normalized, sets.count - 2, sets.count - 1))
    }

    @Test("Boxes that cross each other are reported, and do not exhaust memory")
    func crossing() {
        // In eight dimensions, long boxes along each: most pairs of them are disjoint.
        let shape = [Int](repeating: 8, count: 8)
        var random = SeededGenerator(1)
        let sets = (0..<700).map { index -> StridedElements in
            var box = ShardDescriptor(
                offset: shape.map { _ in random.below(8) }, extent: shape.map { _ in 1 })
            (box.offset[index % 8], box.extent[index % 8]) = (0, 8)
            return StridedElements(box, in: shape)
        }
        let fault = ElementCover.fault(sets, in: shape, allowsHoles: true)
        let places = Dictionary(sets.flatMap(positions).map { ($0, 1) }, uniquingKeysWith: +)
        #expect((fault == nil) == places.values.allSatisfy { $0 == 1 })
    }

    @Test("Strides without a common measure are checked run by run, within a limit")
    func irregular() {
        // 7 and 11 elements apart.
        let sevens = StridedElements(offset: 0, dimensions: [.init(count: 1 << 24, stride: 7)])
        let elevens = StridedElements(offset: 1, dimensions: [.init(count: 1 << 24, stride: 11)])
        #expect(ElementCover.fault([sevens, elevens], in: [1 << 28]) == .irregular)
        let few = [7, 11].map {
            StridedElements(offset: 0, dimensions: [.init(count: 9, stride: $0)])
        }
        #expect(
            ElementCover.fault(few, in: [200], allowsHoles: true)
                == .overlap(StridedElements(0..<1).normalized, 0, 1))
    }

    @Test("A set is a box, or not", arguments: Seeds.first(500))
    func boxes(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        let shape = (0..<random.below(4)).map { _ in 1 + random.below(4) }
        let offset = shape.map { random.below($0) }
        let box = ShardDescriptor(
            offset: offset, extent: shape.indices.map { 1 + random.below(shape[$0] - offset[$0]) })
        #expect(ShardDescriptor(StridedElements(box, in: shape), in: shape) == box)
        let other = set(&random)
        guard other.isValid(below: shape.reduce(1, *)) else { return }
        if let found = ShardDescriptor(other, in: shape) {
            #expect(
                positions(StridedElements(found, in: shape)).sorted() == positions(other).sorted())
        }
    }

    @Test("Common elements of two pieces, once, with their places", arguments: Seeds.first(1500))
    func intersection(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        func piece() -> ShardPiece {
            while true {
                let shape = (0..<random.below(4)).map { _ in 1 + random.below(5) }
                let piece = ShardPiece(
                    shape: shape, offset: random.below(40),
                    strides: shape.map { _ in random.below(30) },
                    localOffset: random.below(9), localStrides: shape.map { _ in random.below(60) })
                if (try? piece.check(tensor: 100, memory: 1000)) != nil { return piece }
            }
        }
        let (a, b) = (piece(), piece())
        func places(_ piece: ShardPiece) -> [Int: Int] {
            Dictionary(
                uniqueKeysWithValues: zip(positions(piece.elements), positions(piece.localElements))
            )
        }
        let (inA, inB) = (places(a), places(b))
        var expected: Set<[Int]> = []
        for (position, place) in inA {
            if let other = inB[position] { expected.insert([place, other]) }
        }
        var found: [[Int]] = []
        for copy in PieceIntersection.copies(from: a, to: b) {
            var last = -1
            var runs = 0
            copy.forEachRun { run in
                found += (0..<run.count).map { [run.source + $0, run.destination + $0] }
                #expect(run.source > last)
                last = run.source
                runs += 1
            }
            #expect(runs == copy.runCount && runs * copy.runElements == copy.count)
        }
        #expect(Set(found) == expected && found.count == expected.count, "seed \(seed)")
    }
}
