package import CheckpointFormat

/// Codec 3: splits elements into byte planes and stores each plane in the mode that suits it
/// (Formats/codecs.md, Sub-blocks). All efforts share one decoder; they differ in the alternatives
/// that the encoder tries.
package struct PlanesCodec: BlockCodec {
    package let effort: PlaneEffort

    package init(effort: PlaneEffort) { self.effort = effort }

    package var identifier: CodecIdentifier { .planes }

    package func encodedBytesMax(_ rawBytes: Int) -> Int { SubBlocks.encodedBytesMax(rawBytes) }

    package func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int? {
        unsafe SubBlocks.encode(raw, base: nil, SubBlockSlices(unknown: raw.count), effort, memory: nil, into: stored)
    }

    /// Encodes a block whose element types are known.
    ///
    /// - Parameters:
    ///   - raw: The bytes to encode.
    ///   - runs: The types of all bytes of `raw`, in order.
    ///   - memory: Results of trials for the same tensors in earlier saves; updated.
    ///   - stored: Memory for the result.
    /// - Returns: Number of bytes written; nil if they do not fit, if the system refuses memory, or
    ///   if earlier saves of these tensors gained nothing.
    package func encode(
        _ raw: UnsafeRawBufferPointer, runs: [ElementRun], memory: inout CodecMemory,
        into stored: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard memory.begin(effort) else { return nil }
        let written = unsafe withUnsafeMutablePointer(to: &memory) { memory in
            unsafe SubBlocks.encode(raw, base: nil, SubBlockSlices(runs, isThorough: effort == .max), effort, memory: memory, into: stored)
        }
        let isWorthwhile = written.map {
            StorageRule.isWorthwhile(storedBytes: $0, rawBytes: raw.count)
        }
        memory.finish(isWorthwhile: isWorthwhile ?? false)
        return written
    }

    package func prepareToEncode(threads: Int, rawBytes: Int) {
        PlaneScratch.pool.prepare(threads) { $0.prepare(for: effort) }
    }

    package func decode(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        unsafe try SubBlockDecoder.decode(.planes, stored, base: nil, into: raw)
    }
}
