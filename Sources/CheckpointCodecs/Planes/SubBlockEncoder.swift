internal import CheckpointFormat
internal import Glibc

/// Encoder of the slices of one block.
@safe
struct SubBlockEncoder {
    private let scratch: PlaneScratch
    private let kernels: PlaneKernels
    private let stored: UnsafeMutableRawBufferPointer
    /// Number of stored bytes so far.
    private(set) var count = 0

    init(_ scratch: PlaneScratch, into stored: UnsafeMutableRawBufferPointer, kernels: PlaneKernels = .best) {
        (self.scratch, self.kernels) = (scratch, kernels)
        unsafe self.stored = stored
    }

    private var room: Int { unsafe stored.count - count }

    /// Discards everything after the first `count` bytes.
    mutating func rewind(to count: Int) { self.count = count }

    /// Appends a sub-block.
    ///
    /// - Parameters:
    ///   - raw: The bytes; sorted if the plan says so.
    ///   - base: If the plan has a residual, the base's bytes, of the same length and in the same
    ///     order.
    ///   - plan: Transform and methods.
    ///   - grid: The grid by which elements are sorted, if they are.
    ///   - lines: The sorter that has the bytes of the grid's columns and rows.
    /// - Returns: False if the sub-block does not fit; `count` is then undefined until `rewind`.
    mutating func append(
        _ raw: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer?, _ plan: PlanePlan, grid: SubBlockGrid? = nil,
        lines: ElementSorter? = nil
    ) -> Bool {
        // Fewer bytes than one element have no planes.
        let plan = raw.count < plan.transform.width ? PlanePlan.raw : plan
        let header = SubBlockHeader(rawBytes: raw.count, transform: plan.transform, grid: grid)
        guard room >= header.headerBytes + header.tailBytes, let start = unsafe stored.baseAddress.map({ unsafe $0 + count })
        else { return false }
        unsafe header.write(to: start)
        count += header.headerBytes
        let planes = unsafe split(raw, base: base, plan, header)
        for index in 0..<plan.transform.width {
            guard let address = unsafe planes[index] else { return false }
            let plane = unsafe UnsafeRawBufferPointer(start: address, count: header.planeBytes)
            guard let row = unsafe append(plane, plan[index]) else { return false }
            unsafe row.write(to: start + header.rowsOffset + index * PlaneRow.bytes)
        }
        if let grid, let lines {
            for index in 0...1 {
                let part = unsafe index == 0 ? lines.columns(of: grid) : lines.rows(of: grid, header.planeBytes)
                guard let row = unsafe append(UnsafeRawBufferPointer(part), .search) else { return false }
                unsafe row.write(to: start + header.rowsOffset + (plan.transform.width + index) * PlaneRow.bytes)
            }
        }
        return unsafe append(UnsafeRawBufferPointer(rebasing: raw.suffix(header.tailBytes)))
    }

    /// Splits the elements into planes. Leading planes that stay raw are written directly to their
    /// stored place, the others to the scratch memory.
    private func split(
        _ raw: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer?, _ plan: PlanePlan, _ header: SubBlockHeader
    ) -> PlanePointers {
        let (width, bytes) = (plan.transform.width, header.planeBytes)
        var planes = PlanePointers()
        var direct = 0
        while direct < width, plan[direct] == .raw, (direct + 1) * bytes <= room {
            unsafe planes[direct] = stored.baseAddress.map { unsafe $0 + count + direct * bytes }
            direct += 1
        }
        for index in direct..<width { unsafe planes[index] = scratch.plane(index, planeBytes: bytes).baseAddress }
        guard let elements = raw.baseAddress else { return planes }
        unsafe kernels.split(elements, base: base?.baseAddress, count: bytes, plan.transform, into: planes)
        return planes
    }

    /// Appends a plane, encoded by its method, or raw if that saves too little.
    private mutating func append(_ plane: UnsafeRawBufferPointer, _ method: PlaneMethod) -> PlaneRow? {
        let target = unsafe UnsafeMutableRawBufferPointer(rebasing: stored[count...])
        if method != .raw, unsafe plane.isConstant {
            return unsafe append(UnsafeRawBufferPointer(rebasing: plane[..<1])) ? PlaneRow(mode: .constant, storedBytes: 1) : nil
        }
        if let row = unsafe encode(plane, method, into: target),
            StorageRule.isWorthwhile(storedBytes: row.storedBytes, rawBytes: plane.count)
        {
            count += row.storedBytes
            return row
        }
        return unsafe append(plane) ? PlaneRow(mode: .raw, storedBytes: plane.count) : nil
    }

    private func encode(
        _ plane: UnsafeRawBufferPointer, _ method: PlaneMethod, into target: UnsafeMutableRawBufferPointer
    ) -> PlaneRow? {
        switch method {
        case .raw: nil
        case .top: unsafe encodeTop(plane, into: target)
        case .matches: unsafe encodeMatches(plane, into: target)
        case .huffman, .mixed: unsafe scratch.frame(plane, method, into: target).map { PlaneRow(mode: .zstd, storedBytes: $0) }
        case .search: unsafe encodeSmallest(plane, into: target)
        }
    }

    /// Encodes a plane with matches. If they save little, the plane may be noise in parts and the
    /// matches were found elsewhere, so more Huffman tables are tried too.
    private func encodeMatches(_ plane: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> PlaneRow? {
        let matches = unsafe scratch.frame(plane, .matches, into: target) ?? .max
        if matches < plane.count / 4 { return PlaneRow(mode: .zstd, storedBytes: matches) }
        if let mixed = unsafe scratch.frame(plane, .mixed, into: target), mixed <= matches {
            return PlaneRow(mode: .zstd, storedBytes: mixed)
        }
        return unsafe scratch.frame(plane, .matches, into: target).map { PlaneRow(mode: .zstd, storedBytes: $0) }
    }

    /// Encodes a plane by each method, the slowest only if there are matches. The smallest result
    /// is encoded again if it was not the last.
    private func encodeSmallest(_ plane: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> PlaneRow? {
        var best = (method: PlaneMethod.raw, bytes: Int.max)
        var last = PlaneMethod.raw
        func attempt(_ method: PlaneMethod) {
            last = method
            let bytes = unsafe scratch.frame(plane, method, into: target) ?? .max
            if bytes < best.bytes { best = (method, bytes) }
        }
        attempt(.huffman)
        attempt(.mixed)
        attempt(.matches)
        if best.method == .matches { attempt(.search) }
        guard best.method != .raw else { return nil }
        if best.method != last { _ = unsafe scratch.frame(plane, best.method, into: target) }
        return PlaneRow(mode: .zstd, storedBytes: best.bytes)
    }

    private func encodeTop(_ plane: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> PlaneRow? {
        let statistics = unsafe ByteStatistics(plane.strided(in: scratch.trialRoom))
        let (bits, inner, _) = statistics.top
        let outer = TopLayout(bits: bits, count: plane.count)
        let rest =
            unsafe inner == 0 ? UnsafeMutableRawBufferPointer(rebasing: target.dropFirst(outer.wordsEnd)) : scratch.escapeRoom
        guard let escapes = unsafe encodeTop(plane, outer, statistics, rank: 0, into: target, escapes: rest) else { return nil }
        guard inner > 0 else { return PlaneRow(mode: .top, bits: bits, storedBytes: outer.wordsEnd + escapes) }

        let layout = TopLayout(bits: inner, count: escapes)
        let start = outer.wordsEnd + TopLayout.countBytes
        guard start <= target.count else { return nil }
        unsafe target.storeBytes(of: UInt32(escapes), toByteOffset: outer.wordsEnd, as: UInt32.self)
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: target[start...])
        let left = unsafe encodeTop(
            UnsafeRawBufferPointer(rebasing: rest[..<escapes]), layout, statistics, rank: outer.tableBytes, into: room,
            escapes: UnsafeMutableRawBufferPointer(rebasing: room.dropFirst(layout.wordsEnd)))
        return left.map { PlaneRow(mode: .top, bits: bits, inner: inner, storedBytes: start + layout.wordsEnd + $0) }
    }

    /// Writes the table and the words to `target`, and the escapes to `escapes`.
    ///
    /// - Parameter rank: Rank of the table's first byte among the most frequent.
    /// - Returns: Number of escapes; nil if something does not fit.
    private func encodeTop(
        _ bytes: UnsafeRawBufferPointer, _ layout: TopLayout, _ statistics: ByteStatistics, rank: Int,
        into target: UnsafeMutableRawBufferPointer, escapes: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard layout.wordsEnd <= target.count, let start = target.baseAddress else { return nil }
        for index in 0..<layout.tableBytes { unsafe target[index] = statistics.mostFrequent[rank + index] }
        return unsafe kernels.topEncode(
            bytes, bits: layout.bits, table: start, words: start + layout.tableBytes, escapes: escapes)
    }

    /// Appends bytes. Bytes that are already in their place are not copied.
    private mutating func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= room else { return false }
        if let from = bytes.baseAddress, let to = unsafe stored.baseAddress.map({ unsafe $0 + count }), unsafe from != to {
            unsafe to.copyMemory(from: from, byteCount: bytes.count)
        }
        count += bytes.count
        return true
    }
}

extension UnsafeRawBufferPointer {
    /// True if all bytes are equal.
    fileprivate var isConstant: Bool {
        guard count > 1, let start = baseAddress else { return count == 1 }
        return unsafe memcmp(start, start + 1, count - 1) == 0
    }

    /// Returns a sample of 4 KiB from all parts of the bytes, copied to `room`; or the bytes
    /// themselves if there are fewer.
    fileprivate func strided(in room: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer {
        let (pieces, piece) = (64, 64)
        guard count > pieces * piece, let from = baseAddress, let to = room.baseAddress else { return unsafe self }
        let stride = (count - piece) / (pieces - 1)
        for index in 0..<pieces {
            unsafe (to + index * piece).copyMemory(from: from + index * stride, byteCount: piece)
        }
        return unsafe UnsafeRawBufferPointer(start: to, count: pieces * piece)
    }
}
