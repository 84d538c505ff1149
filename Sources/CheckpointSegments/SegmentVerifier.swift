package import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
internal import SystemPackage

/// Verifier of complete segments (Formats/segment.md): structure, every block's stored hash, and
/// every byte of padding.
///
/// Any thread; it takes no lock.
package struct SegmentVerifier {
    private let fileSystem: any FileSystem
    private let directories: StoreDirectories

    /// Creates a verifier for a store.
    package init(fileSystem: any FileSystem, directories: StoreDirectories) {
        self.fileSystem = fileSystem
        self.directories = directories
    }

    /// Reads and checks header, index and trailer.
    ///
    /// - Parameter name: The segment.
    /// - Returns: The index.
    /// - Throws: `.io`, or `.format` with the first broken rule.
    package func structure(of name: SegmentName) throws(SegmentError) -> SegmentIndex {
        try structure(of: name, file: open(name))
    }

    /// Checks a segment completely.
    ///
    /// - Parameters:
    ///   - name: The segment.
    ///   - progress: Called with the number of bytes read since the last call.
    ///   - found: Called for every damaged block and for every padding that is not zero.
    /// - Returns: The index, for comparison with manifests.
    /// - Throws: `.io`, or `.format` if the structure is damaged.
    package func check(
        _ name: SegmentName, progress: (Int) -> Void = { _ in }, found: (SegmentError) -> Void
    ) throws(SegmentError) -> SegmentIndex {
        let index = try structure(of: name)
        try contents(
            of: name, blocks: index.blocks, progress: progress,
            found: { error, _, _ in found(error) })
        return index
    }

    /// Checks blocks and their padding. The blocks can come from the segment's index or, if that is
    /// damaged, from a manifest.
    ///
    /// - Parameters:
    ///   - name: The segment.
    ///   - blocks: The blocks to check.
    ///   - progress: Called with the number of bytes read since the last call.
    ///   - found: Called for every error, with the block, or nil if only padding is damaged; and
    ///     with the block's stored bytes if they could be read, but do not have their hash.
    ///   - whole: Called for every intact block with its stored bytes, which like those of `found`
    ///     are valid during the call.
    /// - Throws: `.io` if the file cannot be opened.
    package func contents(
        of name: SegmentName, blocks: [SegmentBlock], progress: (Int) -> Void = { _ in },
        found: (SegmentError, SegmentBlock?, _ stored: MemoryRegion?) -> Void,
        whole: (SegmentBlock, MemoryRegion) -> Void = { _, _ in }
    ) throws(SegmentError) {
        let file = try open(name)
        let path = directories.path(of: name)
        var scratch = ScratchBuffer()
        for block in blocks {
            do {
                let padded = try read(block, file, &scratch)
                let stored = padded.prefix(block.storedBytes)
                guard stored.hash64 == block.storedHash else {
                    let message = "\(block.storedBytes) stored bytes do not match their hash"
                    found(.format(path, .damage(at: block.offset, message)), block, stored)
                    progress(padded.count)
                    continue
                }
                whole(block, stored)
                if let index = padded[block.storedBytes..<padded.count].firstNonzero {
                    let offset = block.offset + block.storedBytes + index
                    found(.format(path, .damage(at: offset, "padding is not zero")), nil, nil)
                }
            } catch { found(error, block, nil) }
            progress(block.paddedEnd - block.offset)
        }
    }

    /// Returns the size of the segment's file in bytes. `structure` compares it with the size in
    /// the trailer.
    package func fileBytes(of name: SegmentName) throws(SegmentError) -> Int { try open(name).size }

    private func open(_ name: SegmentName) throws(SegmentError) -> any ReadableFile {
        try wrappingIO { () throws(FileSystemError) in
            try fileSystem.open(directories.path(of: name))
        }
    }

    private func structure(of name: SegmentName, file: any ReadableFile) throws(SegmentError)
        -> SegmentIndex
    {
        let path = directories.path(of: name)
        guard file.size >= 2 * Limits.pageBytes, file.size <= Limits.segmentBytesMax else {
            throw .format(
                path,
                .damage(
                    at: file.size,
                    "a file of \(file.size) bytes is not a segment: it is truncated, "
                        + "or was written by another program"))
        }
        let page = try read(file, Limits.pageBytes, at: 0)
        let tail = try read(
            file, SegmentIndex.trailerBytes, at: file.size - SegmentIndex.trailerBytes)
        let header = try wrappingFormat(path) { () throws(FormatError) in
            try SegmentHeader(decoding: page[...], digest: Hashing.digest)
        }
        try wrappingFormat(path) { () throws(FormatError) in try header.check(isFor: name) }
        let trailer = try wrappingFormat(path) { () throws(FormatError) in
            try SegmentIndex.Trailer(decoding: tail[...], fileBytes: file.size)
        }
        let rows = try read(file, trailer.fileBytes - trailer.indexOffset, at: trailer.indexOffset)
        return try wrappingFormat(path) { () throws(FormatError) in
            try SegmentIndex(decoding: rows[...], trailer: trailer, digest: Hashing.digest)
        }
    }

    private func read(_ file: any ReadableFile, _ count: Int, at offset: Int) throws(SegmentError)
        -> [UInt8]
    {
        try wrappingIO { () throws(FileSystemError) in try file.read(count: count, at: offset) }
    }

    /// Reads a block with its padding.
    private func read(
        _ block: SegmentBlock, _ file: any ReadableFile, _ scratch: inout ScratchBuffer
    ) throws(SegmentError) -> MemoryRegion {
        let padded = block.paddedEnd - block.offset
        // If the file ends inside the padding, the block itself may still be intact.
        let there = max(min(padded, file.size - block.offset), block.storedBytes)
        let region: MemoryRegion
        do { region = try scratch.region(atLeast: padded).prefix(padded) } catch {
            throw .outOfMemory(error)
        }
        try wrappingIO { () throws(FileSystemError) in
            unsafe try file.read(into: region.prefix(there).mutableBytes, at: block.offset)
        }
        region[there..<padded].fillWithZeros()
        return region
    }
}
