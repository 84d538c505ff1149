internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import CheckpointState
internal import CheckpointStorage

/// One comparison in progress.
struct Comparer: ~Copyable {
    private(set) var result = CheckpointComparison()
    private var before: ComparedSide
    private var after: ComparedSide
    /// Buffers for the bytes of either side, `windowBytes` each.
    private var oldWindow = ScratchBuffer()
    private var newWindow = ScratchBuffer()
    /// Size of a read in bytes: a multiple of every element's width.
    private static let windowBytes = 1 << 20

    private let options: CheckpointComparison.Options
    private var progress: Progress

    /// Bytes of tensors that have been compared, including those equal by hash, which are not read.
    private struct Progress {
        var done = 0
        var total = 0
    }

    init(_ before: ComparedSide, _ after: ComparedSide, _ options: CheckpointComparison.Options) {
        self.before = before
        self.after = after
        self.options = options
        progress = Progress()
        result.epsilon = options.epsilon
    }

    mutating func compareTensors(where isMeant: (String) -> Bool) throws(CheckpointError) {
        let pairs = Self.pairs(before.tensors.filter { isMeant($0.name) }, after.tensors.filter { isMeant($0.name) }, name: \.name)
        progress.total = pairs.reduce(0) { $0 + ($1.0?.byteCount ?? 0) }
        for (old, new) in pairs {
            result.tensors.append(try compare(old, new))
            advance(old?.byteCount ?? 0)
        }
        result.readBytes += before.readBytes + after.readBytes
    }

    private mutating func advance(_ bytes: Int) {
        progress.done += bytes
        options.onProgress?(progress.done, progress.total)
    }

    mutating func compareTensors() throws(CheckpointError) {
        let patterns = options.patterns
        try compareTensors { name in patterns.isEmpty || patterns.contains { $0.matches(name) } }
        guard !result.tensors.isEmpty || patterns.isEmpty else {
            let names = patterns.map(\.description).joined(separator: ", ")
            throw CheckpointError(
                .notFound, "no tensor of either checkpoint matches \(names)",
                remedy: "List the tensors with ckpt inspect")
        }
    }

    /// Pairs two lists by name.
    private static func pairs<T>(_ old: [T], _ new: [T], name: (T) -> String) -> [(T?, T?)] {
        func keyed(_ list: [T]) -> [ByteName: T] {
            Dictionary(
                list.map { (ByteName(name($0)), $0) }, uniquingKeysWith: { first, _ in first })
        }
        let (olds, news) = (keyed(old), keyed(new))
        return old.map { ($0, news[ByteName(name($0))]) }
            + new.filter { olds[ByteName(name($0))] == nil }.map { (nil, $0) }
    }

    private mutating func compare(
        _ old: ComparedTensor?, _ new: ComparedTensor?
    ) throws(CheckpointError) -> CheckpointComparison.Tensor {
        var tensor = CheckpointComparison.Tensor(name: old?.name ?? new?.name ?? "", change: .equal)
        (tensor.before, tensor.after) = (old?.form, new?.form)
        guard let old, let new else {
            tensor.change = old == nil ? .added : .removed
            return tensor
        }
        guard old.form == new.form else {
            tensor.change = .form
            return tensor
        }
        let difference = try difference(old, new)
        // Equal bytes may be divided into other chunks or shards.
        guard difference.changed > 0 else { return tensor }
        (tensor.change, tensor.difference) = (.content, difference)
        return tensor
    }

    private mutating func difference(_ old: ComparedTensor, _ new: ComparedTensor) throws(CheckpointError) -> ElementDifference {
        var difference = ElementDifference(epsilon: options.epsilon ?? 0)
        let pairs = old.pairs(with: new)
        var unproven: [[Range<Int>]] = []
        for pair in pairs { unproven.append(try self.unproven(old, pair)) }
        let readsAll = options.readsChangedWhole && !unproven.allSatisfy(\.isEmpty)
        for (pair, ranges) in zip(pairs, unproven) {
            if let overlap = pair.overlap {
                for copy in overlap { try add(copy, old, pair, to: &difference) }
            } else {
                let ranges = readsAll ? [0..<pair.before.byteCount] : ranges
                for window in ChunkGrid.windows(ranges, of: Self.windowBytes, width: old.form.type.width) {
                    try add(window, window, old, pair, to: &difference)
                }
            }
        }
        return difference
    }

    /// Returns the byte ranges of a shard that must be read on both sides. Of two shards that are
    /// cut differently, no chunk has a counterpart, so all of it must be.
    private mutating func unproven(_ tensor: ComparedTensor, _ pair: ComparedPair) throws(CheckpointError) -> [Range<Int>] {
        let (a, width) = (pair.before, tensor.form.type.width)
        if pair.overlap != nil { return [0..<a.byteCount] }
        switch pair.after {
        case .chunks(let extents): return ChunkGrid.unproven(a.extents, extents, width: width)
        case .view(let view):
            let largest = a.extents.map(\.range.count).max() ?? 0
            let buffer = try Self.region(&newWindow, largest)
            return try ChunkGrid.unproven(a.extents, width: width) { extent throws(CheckpointError) in
                try after.hash(extent.range, of: view, tensor.name, through: buffer) == extent.hash
            }
        }
    }

    /// Compares elements that two shards hold. Of two boxes the runs are in ascending order in both,
    /// so no block is decoded twice for one pair.
    private mutating func add(
        _ overlap: StridedCopy, _ tensor: ComparedTensor, _ pair: ComparedPair,
        to difference: inout ElementDifference
    ) throws(CheckpointError) {
        let type = tensor.form.type
        try overlap.forEachRun { run throws(CheckpointError) in
            let bytes = 0..<type.bytes(ofElements: run.count)
            for part in ChunkGrid.windows([bytes], of: Self.windowBytes, width: type.width) {
                let old = type.bytes(ofElements: run.source) + part.lowerBound
                let new = type.bytes(ofElements: run.destination) + part.lowerBound
                try add(old..<old + part.count, new..<new + part.count, tensor, pair, to: &difference)
            }
        }
    }

    private mutating func add(
        _ oldRange: Range<Int>, _ newRange: Range<Int>, _ tensor: ComparedTensor, _ pair: ComparedPair,
        to difference: inout ElementDifference
    ) throws(CheckpointError) {
        let old = try Self.region(&oldWindow, oldRange.count)
        let new = try Self.region(&newWindow, newRange.count)
        try before.read(oldRange, of: pair.before, tensor.name, into: old)
        try after.read(newRange, of: pair.after, tensor.name, into: new)
        difference.add(old, new, of: tensor.form.type)
    }

    private static func region(_ buffer: inout ScratchBuffer, _ bytes: Int) throws(CheckpointError) -> MemoryRegion {
        do { return try buffer.region(atLeast: max(bytes, windowBytes)).prefix(bytes) } catch {
            throw CheckpointError(any: error, during: "comparing")
        }
    }

    // MARK: Objects

    mutating func compareObjects() throws(CheckpointError) {
        for (old, new) in Self.pairs(before.objects, after.objects, name: \.name) {
            result.objects.append(try compare(old, new))
        }
    }

    private mutating func compare(
        _ old: ObjectRecord?, _ new: ObjectRecord?
    ) throws(CheckpointError) -> CheckpointComparison.Object {
        var object = CheckpointComparison.Object(name: old?.name ?? new?.name ?? "", change: .equal)
        guard let old, let new else {
            object.change = old == nil ? .added : .removed
            return object
        }
        guard old.encoding == new.encoding else {
            object.change = .form
            return object
        }
        guard before.hashes(of: old) != after.hashes(of: new) else { return object }
        let (a, b) = (try before.object(old), try after.object(new))
        result.readBytes += a.count + b.count
        guard a != b else { return object }
        if old.encoding == .json { object.isSameJSON = JSONValue.areSame(a, b) }
        object.change = object.isSameJSON == true ? .equal : .content
        return object
    }
}

extension JSONValue {
    /// Returns true if two texts are the same JSON value, regardless of the order of keys; nil if
    /// one of them is not JSON.
    static func areSame(_ a: [UInt8], _ b: [UInt8]) -> Bool? {
        do throws(FormatError) {
            return try JSONParser.parse(a[...]).normal == JSONParser.parse(b[...]).normal
        } catch { return nil }
    }

    /// The same value with the keys of every object sorted, and every number in one notation.
    private var normal: JSONValue {
        switch self {
        case .array(let elements): .array(elements.map(\.normal))
        case .object(let members):
            .object(members.sorted { $0.key < $1.key }.map { Member($0.key, $0.value.normal) })
        case .number(let number): Int64(exactly: number).map { .integer($0) } ?? self
        default: self
        }
    }
}
