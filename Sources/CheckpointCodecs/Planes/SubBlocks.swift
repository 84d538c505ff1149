internal import CheckpointFormat

/// Blocks that are a sequence of sub-blocks: codecs `planes` and `delta`.
enum SubBlocks {
    /// Every run begins a sub-block; bytes alone do so only when one is full.
    static func encodedBytesMax(_ rawBytes: Int) -> Int {
        let subBlocks = (rawBytes + SubBlockHeader.rawBytesMax - 1) / SubBlockHeader.rawBytesMax
        return rawBytes + subBlocks * (SubBlockHeader.bytes + 8 * PlaneRow.bytes)
    }

    /// - Parameter memory: of a former trial, or nil.
    /// - Returns: the number of bytes written, or nil if they do not fit.
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
