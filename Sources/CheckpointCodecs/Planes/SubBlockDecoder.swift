internal import CZstd
internal import CheckpointFormat

/// Decoder of the sub-blocks of one block. Every size is compared with the rest of the block before
/// anything is written.
@safe
struct SubBlockDecoder {
    private let scratch: PlaneScratch
    private let decompressor: OpaquePointer
    private let kernels: PlaneKernels
    private let base: UnsafeRawBufferPointer?

    /// Decodes a block of codec 3 or 4.
    ///
    /// - Parameters:
    ///   - codec: The codec.
    ///   - stored: The encoded bytes; all of them are used.
    ///   - base: For a delta, the base, of the same length as `raw`.
    ///   - raw: Memory for the result; exactly as large as it.
    ///   - kernels: The instruction set.
    /// - Throws: `CodecError` if `stored` does not decode to exactly `raw.count` bytes, or if the
    ///   system refuses memory.
    static func decode(
        _ codec: CodecIdentifier, _ stored: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer?,
        into raw: UnsafeMutableRawBufferPointer, kernels: PlaneKernels = .best
    ) throws(CodecError) {
        guard let scratch = PlaneScratch.pool.take() else { throw CodecError(codec, "out of memory for decoding") }
        defer { PlaneScratch.pool.give(scratch) }
        guard let decompressor = unsafe ZstdContexts.decompressors.take() else { throw CodecError(codec, "out of memory for decoding") }
        defer { unsafe ZstdContexts.decompressors.give(decompressor) }
        let decoder = unsafe SubBlockDecoder(scratch: scratch, decompressor: decompressor, kernels: kernels, base: base)
        unsafe try decoder.decode(SubBlockReader(stored, codec: codec), into: raw)
    }

    private func decode(_ subBlocks: SubBlockReader, into raw: UnsafeMutableRawBufferPointer) throws(CodecError) {
        var (reader, done) = (subBlocks, 0)
        while done < raw.count {
            let header = try reader.header(rawLeft: raw.count - done)
            let target = unsafe UnsafeMutableRawBufferPointer(rebasing: raw[done..<done + header.rawBytes])
            unsafe try decode(&reader, header, base: base.map { unsafe UnsafeRawBufferPointer(rebasing: $0[done...]) }, into: target)
            done += header.rawBytes
        }
        guard reader.isAtEnd else { throw reader.fault(0, "stored bytes are left over") }
    }

    private func decode(
        _ reader: inout SubBlockReader, _ header: SubBlockHeader, base: UnsafeRawBufferPointer?,
        into raw: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        let isWhole = header.transform == PlaneTransform(width: 1)
        var planes = PlanePointers()
        var position = header.headerBytes
        let sorter = try sorter(header, reader)
        for index in 0..<header.planeCount {
            let row = try reader.row(index, of: header)
            let payload = unsafe try reader.payload(from: position, row.storedBytes, of: index)
            let room = unsafe isWhole ? raw : room(index, header, sorter)
            let isInPlace = !isWhole && index < header.transform.width
            var place: UnsafeMutableRawPointer?
            if let fault = unsafe decode(payload, row, into: room, isInPlace: isInPlace, at: &place) {
                throw reader.fault(position, "plane \(index): \(fault)")
            }
            if index < header.transform.width { unsafe planes[index] = place }
            position += row.storedBytes
        }
        let tail = unsafe try reader.payload(from: position, header.tailBytes, of: header.planeCount)
        guard let elements = raw.baseAddress else { return }
        if let sorter {
            unsafe merge(planes, base, header, sorter, into: elements)
        } else if !isWhole {
            unsafe kernels.merge(planes, base: base?.baseAddress, count: header.planeBytes, header.transform, into: elements)
        }
        unsafe UnsafeMutableRawBufferPointer(rebasing: raw.suffix(header.tailBytes)).copyMemory(from: tail)
        try reader.advance(position + header.tailBytes)
    }

    /// Returns the sorter that undoes the order, or nil if the elements are not sorted.
    private func sorter(_ header: SubBlockHeader, _ reader: SubBlockReader) throws(CodecError) -> ElementSorter? {
        guard header.transform.isSorted else { return nil }
        guard let sorter = scratch.sorter else { throw reader.fault(0, "out of memory for decoding") }
        return sorter
    }

    /// Returns the memory to decode a plane into.
    private func room(_ plane: Int, _ header: SubBlockHeader, _ sorter: ElementSorter?) -> UnsafeMutableRawBufferPointer {
        guard plane >= header.transform.width, let sorter, let grid = header.grid else {
            return unsafe scratch.plane(plane, planeBytes: header.planeBytes)
        }
        if plane == header.transform.width { return unsafe sorter.columns(of: grid) }
        return unsafe sorter.rows(of: grid, header.planeBytes)
    }

    /// Merges planes of sorted elements and copies the elements to their original places.
    private func merge(
        _ planes: PlanePointers, _ base: UnsafeRawBufferPointer?, _ header: SubBlockHeader, _ sorter: ElementSorter,
        into elements: UnsafeMutableRawPointer
    ) {
        let (count, width) = (header.planeBytes, header.transform.width)
        var sortedBase: UnsafeRawBufferPointer?
        if let grid = header.grid {
            sorter.order(by: grid, count: count)
        } else if let base = unsafe base {
            unsafe sorter.order(by: base, count: count, width: width)
            unsafe sortedBase = sorter.sorted(UnsafeRawBufferPointer(rebasing: base[..<(count * width)]), width: width, isBase: true)
        }
        guard let room = unsafe sorter.room(count * width).baseAddress else { return }
        unsafe kernels.merge(planes, base: sortedBase?.baseAddress, count: count, header.transform, into: room)
        unsafe sorter.unsort(into: elements, count: count, width: width)
    }

    /// Decodes a plane into `room`. A raw plane that can be used in place is not copied.
    ///
    /// - Parameter plane: Set to the address of the decoded plane.
    /// - Returns: Description of the error; nil if there is none.
    private func decode(
        _ payload: UnsafeRawBufferPointer, _ row: PlaneRow, into room: UnsafeMutableRawBufferPointer, isInPlace: Bool,
        at plane: inout UnsafeMutableRawPointer?
    ) -> String? {
        unsafe plane = room.baseAddress
        switch row.mode {
        case .constant: unsafe room.initializeMemory(as: UInt8.self, repeating: payload[0])
        case .raw where isInPlace: unsafe plane = UnsafeMutableRawPointer(mutating: payload.baseAddress)
        case .raw: unsafe room.copyMemory(from: payload)
        case .zstd: return unsafe ZstdFrame.decode(payload, into: room, with: decompressor)
        case .top: return unsafe decodeTop(payload, row, into: room)
        }
        return nil
    }

    private func decodeTop(
        _ payload: UnsafeRawBufferPointer, _ row: PlaneRow, into room: UnsafeMutableRawBufferPointer
    ) -> String? {
        let outer = TopLayout(bits: row.bits, count: room.count)
        let rest = unsafe UnsafeRawBufferPointer(rebasing: payload[outer.wordsEnd...])
        guard row.inner > 0 else { return unsafe decodeTop(payload, outer, escapes: rest, into: room) }

        let count = Int(unsafe rest.loadUnaligned(as: UInt32.self))
        let layout = TopLayout(bits: row.inner, count: count)
        let coded = unsafe UnsafeRawBufferPointer(rebasing: rest[TopLayout.countBytes...])
        guard count <= room.count, layout.wordsEnd <= coded.count else { return "\(count) escapes are more than fit" }
        let escapes = unsafe UnsafeMutableRawBufferPointer(rebasing: scratch.escapeRoom[..<count])
        let left = unsafe UnsafeRawBufferPointer(rebasing: coded[layout.wordsEnd...])
        return unsafe decodeTop(coded, layout, escapes: left, into: escapes)
            ?? decodeTop(payload, outer, escapes: UnsafeRawBufferPointer(escapes), into: room)
    }

    private func decodeTop(
        _ payload: UnsafeRawBufferPointer, _ layout: TopLayout, escapes: UnsafeRawBufferPointer,
        into room: UnsafeMutableRawBufferPointer
    ) -> String? {
        guard let start = payload.baseAddress else { return "no bytes" }
        let used = unsafe kernels.topDecode(
            room, bits: layout.bits, table: start, words: start + layout.tableBytes, escapes: escapes)
        guard let used else { return "there are too few escapes for the codes, or codes beyond the end" }
        return used == escapes.count ? nil : "\(escapes.count - used) escapes are left over"
    }
}
