package import CheckpointFormat

/// Splits elements into byte planes and stores each plane as suits it (Formats/codecs.md, Sub-blocks). There is one decoder; efforts
/// differ in what the encoder tries.
package struct PlanesCodec: BlockCodec {
    package let effort: PlaneEffort

    package init(effort: PlaneEffort) { self.effort = effort }

    package var identifier: CodecIdentifier { .planes }

    package func encodedBytesMax(_ rawBytes: Int) -> Int { SubBlocks.encodedBytesMax(rawBytes) }

    package func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int? {
        unsafe SubBlocks.encode(raw, base: nil, SubBlockSlices(unknown: raw.count), effort, memory: nil, into: stored)
    }

    /// Encodes bytes whose nature is known.
    /// - Parameters:
    ///   - runs: what the bytes are, from the first to the last.
    ///   - memory: what was found when the same tensors were saved before; brought up to date.
    /// - Returns: the number of bytes written, or nil if they do not fit or, as far as is remembered, save nothing.
    package func encode(
        _ raw: UnsafeRawBufferPointer, runs: [ElementRun], memory: inout CodecMemory,
        into stored: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard memory.begin(effort) else { return nil }
        let written = unsafe withUnsafeMutablePointer(to: &memory) { memory in
            unsafe SubBlocks.encode(raw, base: nil, SubBlockSlices(runs, isThorough: effort == .max), effort, memory: memory, into: stored)
        }
        memory.finish(isWorthwhile: written.map { CodecRegistry.isWorthwhile(storedBytes: $0, rawBytes: raw.count) } ?? false)
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
