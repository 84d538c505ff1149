internal import CheckpointFormat

/// Encoding of a block as a sequence of sub-blocks: codecs `planes` and `delta`.
enum SubBlocks {
    /// Returns an upper bound for the encoding of bytes of unknown type, whose sub-blocks are all
    /// full except the last. Runs of different types begin additional sub-blocks, which the bound
    /// does not count.
    static func encodedBytesMax(_ rawBytes: Int) -> Int {
        let subBlocks = (rawBytes + SubBlockHeader.rawBytesMax - 1) / SubBlockHeader.rawBytesMax
        return rawBytes + subBlocks * (SubBlockHeader.bytes + 8 * PlaneRow.bytes)
    }

    /// Encodes a block.
    ///
    /// - Parameters:
    ///   - raw: The bytes to encode.
    ///   - base: For a delta, the base, of the same length as `raw`; otherwise nil.
    ///   - slices: The sub-blocks, which must add up to `raw`.
    ///   - effort: The effort to spend.
    ///   - memory: Results of earlier trials, which are updated; or nil.
    ///   - stored: Memory for the result.
    /// - Returns: Number of bytes written; nil if they do not fit or the system refuses memory.
    static func encode(
        _ raw: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer?, _ slices: SubBlockSlices, _ effort: PlaneEffort,
        memory: UnsafeMutablePointer<CodecMemory>?, into stored: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard let scratch = PlaneScratch.pool.take() else { return nil }
        defer { PlaneScratch.pool.give(scratch) }
        var encoder = unsafe SubBlockEncoder(scratch, into: stored)
        var last: (type: ElementType?, plan: PlanePlan)?
        var total = 0
        for slice in slices {
            total += slice.bytes
            let range = slice.offset..<slice.offset + slice.bytes
            let part = unsafe UnsafeRawBufferPointer(rebasing: raw[range])
            let basePart = unsafe base.map { unsafe UnsafeRawBufferPointer(rebasing: $0[range]) }
            if effort == .max {
                guard unsafe SortedTrial(scratch, slice, raw: part, base: basePart).append(to: &encoder) else { return nil }
                continue
            }
            let plan: PlanePlan
            if let last, last.type == slice.type {
                plan = last.plan
            } else if let known = unsafe memory?.pointee.plan(for: slice.type) {
                plan = known
            } else {
                plan = unsafe PlaneTrial(scratch, effort, raw: part, base: basePart).plan(for: slice.type)
                unsafe memory?.pointee.keep(plan, for: slice.type)
            }
            last = (slice.type, plan)
            let adapted = unsafe PlaneDrift(scratch, effort, raw: part, base: basePart).adapt(plan)
            guard unsafe encoder.append(part, base: basePart, adapted) else { return nil }
        }
        precondition(total == raw.count, "the runs are not the block")
        return encoder.count
    }
}
