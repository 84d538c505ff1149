internal import CCheckpoint
internal import CheckpointFormat
internal import CheckpointState
internal import CheckpointStorage

/// The tensors that a caller has described, with their addresses.
struct TensorDescription {
    private(set) var layouts: [TensorLayout] = []
    private(set) var addresses: [UInt] = []

    /// Reads an array of structures.
    ///
    /// - Parameters:
    ///   - shards: the part of a tensor that each of them is; NULL if all are complete.
    ///   - scope: what numbers in the description refer to.
    /// - Throws: code `misuse`.
    init(
        _ tensors: UnsafePointer<ckpt_tensor>?, _ shards: UnsafePointer<ckpt_shard>? = nil,
        count: Int, in scope: DescriptionScope = DescriptionScope()
    ) throws(CheckpointError) {
        let count = unsafe try CallerMemory.count(
            count, at: tensors, max: Limits.tensorsPerManifestMax, "tensors")
        guard count > 0, let tensors = unsafe tensors else { return }
        let first = unsafe UnsafeRawPointer(tensors)
        let stride = unsafe try CallerMemory.size(first, "a tensor")
        let firstShard = unsafe shards.map { unsafe UnsafeRawPointer($0) }
        var shardStride = 0
        if let firstShard = unsafe firstShard {
            shardStride = unsafe try CallerMemory.size(firstShard, "a shard")
        }
        layouts.reserveCapacity(count)
        addresses.reserveCapacity(count)
        for index in 0..<count {
            let tensor = unsafe CallerMemory.read(
                first + index * stride, zero: ckpt_tensor(), size: stride)
            var shard: ckpt_shard?
            if let firstShard = unsafe firstShard {
                unsafe shard = CallerMemory.read(
                    firstShard + index * shardStride, zero: ckpt_shard(), size: shardStride)
            }
            layouts.append(unsafe try Self.layout(tensor, shard, scope))
            addresses.append(unsafe UInt(bitPattern: tensor.data))
        }
    }

    private static func layout(
        _ tensor: ckpt_tensor, _ shard: ckpt_shard?, _ scope: DescriptionScope
    ) throws(CheckpointError) -> TensorLayout {
        let name = unsafe try CallerMemory.text(tensor.name, "tensor.name")
        let rank = try rank(unsafe Int(tensor.rank), name)
        let shape = unsafe try extents(tensor.shape, rank, "shape of tensor \"\(name)\"")
        var strides: [Int]?
        if let given = unsafe tensor.strides {
            strides = unsafe try extents(given, rank, "strides of tensor \"\(name)\"")
        }
        return try TensorLayout(
            name: name,
            group: unsafe try CallerMemory.optionalText(tensor.group, "tensor.group"),
            role: unsafe TensorRole(number: Int(tensor.role), name),
            type: unsafe ElementType(number: Int(tensor.type), name),
            shape: shape, strides: strides,
            shard: unsafe try shard.flatMap { given throws(CheckpointError) in
                unsafe try Self.shard(given, of: shape, name)
            }, rank: scope.rank, device: unsafe try scope.device(Int(tensor.device), name))
    }

    /// - Parameter extent: the extents of the memory.
    private static func shard(
        _ given: ckpt_shard, of extent: [Int], _ name: String
    ) throws(CheckpointError) -> TensorLayout.Shard? {
        let text = "shard of tensor \"\(name)\""
        var shard = TensorLayout.Shard(
            shape: extent, offset: [Int](repeating: 0, count: extent.count))
        if let shape = unsafe given.shape {
            shard.shape = unsafe try extents(shape, extent.count, "shape in the \(text)")
        }
        if let offset = unsafe given.offset {
            shard.offset = unsafe try extents(offset, extent.count, "offset in the \(text)")
        }
        let count = unsafe try CallerMemory.count(
            Int(clamping: given.holder_count), at: given.holders, max: Limits.worldSizeMax,
            "holders in the \(text)")
        shard.holders = unsafe UnsafeBufferPointer(start: given.holders, count: count).map {
            Int($0)
        }
        let isComplete = unsafe given.shape == nil && given.offset == nil
        return isComplete && shard.holders.isEmpty ? nil : shard
    }

    private static func rank(_ rank: Int, _ name: String) throws(CheckpointError) -> Int {
        guard (0...Limits.rankOfTensorMax).contains(rank) else {
            throw .argument(
                "tensor \"\(name)\" has \(rank) dimensions, more than \(Limits.rankOfTensorMax)")
        }
        return rank
    }

    private static func extents(
        _ pointer: UnsafePointer<Int64>?, _ rank: Int, _ name: String
    ) throws(CheckpointError) -> [Int] {
        _ = unsafe try CallerMemory.count(rank, at: pointer, max: Limits.rankOfTensorMax, name)
        return unsafe UnsafeBufferPointer(start: pointer, count: rank).map { Int($0) }
    }

    /// Reads the packed form (`ckpt_describe_packed`).
    ///
    /// - Parameter scope: what numbers in the description refer to.
    /// - Throws: code `misuse`.
    init(
        fields: UnsafeBufferPointer<Int64>, names: UnsafeRawBufferPointer, count: Int,
        in scope: DescriptionScope
    ) throws(CheckpointError) {
        guard (0...Limits.tensorsPerManifestMax).contains(count) else {
            throw .argument(
                "too many tensors: \(UInt(bitPattern: count)), "
                    + "at most \(Limits.tensorsPerManifestMax)")
        }
        var (next, nextName) = (0, 0)
        func take(_ wanted: Int) throws(CheckpointError) -> [Int] {
            guard wanted >= 0, wanted <= fields.count - next else {
                throw .argument("the fields end in the middle of tensor \(layouts.count)")
            }
            defer { next += wanted }
            return unsafe fields[next..<next + wanted].map { Int($0) }
        }
        func takeText(_ bytes: Int) throws(CheckpointError) -> String {
            guard (0...Limits.nameBytesMax).contains(bytes), bytes <= names.count - nextName else {
                throw .argument(
                    "the name of tensor \(layouts.count) has \(bytes) bytes, which is "
                        + "not from 0 to \(Limits.nameBytesMax), or more than are left in names")
            }
            defer { nextName += bytes }
            let text = unsafe String(validating: names[nextName..<nextName + bytes], as: UTF8.self)
            guard let text, !text.utf8.contains(0) else {
                throw .argument("the name of tensor \(layouts.count) is not UTF-8 text")
            }
            return text
        }
        for _ in 0..<count {
            let head = try take(7)
            let (name, group) = (try takeText(head[3]), try takeText(head[4]))
            let rank = try Self.rank(head[6], name)
            guard (0...7).contains(head[5]) else {
                throw .argument("tensor \"\(name)\": \(head[5]) does not say what follows")
            }
            let shape = try take(rank)
            let strides = head[5] & 1 == 0 ? nil : try take(rank)
            var shard: TensorLayout.Shard?
            if head[5] & 2 != 0 {
                shard = .init(shape: try take(rank), offset: try take(rank))
                shard?.holders = try take(try take(1)[0])
            }
            let device = head[5] & 4 == 0 ? 0 : try take(1)[0]
            layouts.append(
                try TensorLayout(
                    name: name, group: group.isEmpty ? nil : group,
                    role: TensorRole(number: head[2], name),
                    type: ElementType(number: head[1], name), shape: shape, strides: strides,
                    shard: shard, rank: scope.rank, device: try scope.device(device, name)))
            addresses.append(UInt(bitPattern: head[0]))
        }
        guard next == fields.count, nextName == names.count else {
            throw .argument("fields or names are left over after \(count) tensors")
        }
    }

    /// The same tensors at other addresses.
    ///
    /// - Throws: code `misuse` if the number is another.
    func moved(to addresses: [UInt]) throws(CheckpointError) -> TensorDescription {
        guard addresses.count == layouts.count else {
            throw .argument(
                "there are \(addresses.count) addresses for \(layouts.count) described tensors")
        }
        var moved = self
        moved.addresses = addresses
        return moved
    }

    /// Returns the tensors as items of a state.
    ///
    /// - Parameter loan: lives as long as anything may read the memory.
    /// - Throws: code `misuse`.
    func views(loan: Loan?) throws(CheckpointError) -> [TensorView] {
        var views: [TensorView] = []
        views.reserveCapacity(layouts.count)
        for (layout, address) in zip(layouts, addresses) {
            views.append(try layout.view(at: address, loan: loan))
        }
        return views
    }
}

extension ElementType {
    private static let byNumber = Dictionary(
        uniqueKeysWithValues: allCases.map { (Int($0.code), $0) })

    /// The type with a number of checkpoint.h.
    init(number: Int, _ name: String) throws(CheckpointError) {
        guard let type = Self.byNumber[number] else {
            throw .argument("tensor \"\(name)\": \(number) is not an element type")
        }
        self = type
    }
}

extension TensorRole {
    private static let inOrder: [TensorRole] = [.parameter, .optimizer, .buffer, .other]

    /// The role with a number of checkpoint.h.
    init(number: Int, _ name: String) throws(CheckpointError) {
        guard Self.inOrder.indices.contains(number) else {
            throw .argument("tensor \"\(name)\": \(number) is not a role")
        }
        self = Self.inOrder[number]
    }

    /// The number of the role in checkpoint.h.
    var number: UInt32 { UInt32(Self.inOrder.firstIndex(of: self) ?? 0) }
}
