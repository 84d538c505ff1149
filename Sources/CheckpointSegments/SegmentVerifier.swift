package import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
internal import SystemPackage

/// Checks a whole segment against Formats/segment.md: structure, every block's stored hash, every byte of padding.
package struct SegmentVerifier {
    private let fileSystem: any FileSystem
    private let directories: StoreDirectories

    package init(fileSystem: any FileSystem, directories: StoreDirectories) {
        self.fileSystem = fileSystem
        self.directories = directories
    }

    /// Reads header, index and trailer.
    package func structure(of name: SegmentName) throws(SegmentError) -> SegmentIndex {
        try structure(of: name, file: open(name))
    }

    /// Checks everything, calling `found` for each thing wrong with a block or its padding.
    /// - Parameter progress: called with the number of bytes read since the last call.
    /// - Returns: the index, for comparison with manifests.
    package func check(
        _ name: SegmentName, progress: (Int) -> Void = { _ in }, found: (SegmentError) -> Void
    ) throws(SegmentError) -> SegmentIndex {
        let index = try structure(of: name)
        try contents(of: name, blocks: index.blocks, progress: progress, found: { error, _ in found(error) })
        return index
    }

    /// Checks blocks and their padding, wherever they are known from: the index, or a manifest.
    /// - Parameters:
    ///   - found: called with what is wrong, and with the block that is lost by it, or nil for padding.
    ///   - whole: called with the stored bytes of each block that has its hash.
    package func contents(
        of name: SegmentName, blocks: [SegmentBlock], progress: (Int) -> Void = { _ in },
        found: (SegmentError, SegmentBlock?) -> Void, whole: (SegmentBlock, MemoryRegion) -> Void = { _, _ in }
    ) throws(SegmentError) {
        let file = try open(name)
        let path = directories.path(of: name)
        var scratch = ScratchBuffer()
        for block in blocks {
            do {
                let padded = try read(block, path, file, &scratch)
                whole(block, padded.prefix(block.storedBytes))
                if let index = padded[block.storedBytes..<padded.count].firstNonzero {
                    found(.format(path, .damage(at: block.offset + block.storedBytes + index, "padding is not zero")), nil)
                }
            } catch { found(error, block) }
            progress(block.paddedEnd - block.offset)
        }
    }

    /// Length of the file, which `structure` compares with what the trailer says.
    package func fileBytes(of name: SegmentName) throws(SegmentError) -> Int { try open(name).size }

    private func open(_ name: SegmentName) throws(SegmentError) -> any ReadableFile {
        try wrappingIO { () throws(FileSystemError) in try fileSystem.open(directories.path(of: name)) }
    }

    private func structure(of name: SegmentName, file: any ReadableFile) throws(SegmentError) -> SegmentIndex {
        let path = directories.path(of: name)
        guard file.size >= 2 * Limits.pageBytes, file.size <= Limits.segmentBytesMax else {
            throw .format(path, .damage(at: file.size, "\(file.size) bytes are no segment: it is truncated or foreign"))
        }
        let page = try read(file, Limits.pageBytes, at: 0)
        let tail = try read(file, SegmentIndex.trailerBytes, at: file.size - SegmentIndex.trailerBytes)
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

    private func read(_ file: any ReadableFile, _ count: Int, at offset: Int) throws(SegmentError) -> [UInt8] {
        try wrappingIO { () throws(FileSystemError) in try file.read(count: count, at: offset) }
    }

    /// The block with its padding, once its stored bytes have their hash.
    private func read(
        _ block: SegmentBlock, _ path: FilePath, _ file: any ReadableFile, _ scratch: inout ScratchBuffer
    ) throws(SegmentError) -> MemoryRegion {
        let padded = block.paddedEnd - block.offset
        // A file that was cut in the padding has all of the block.
        let there = max(min(padded, file.size - block.offset), block.storedBytes)
        let region: MemoryRegion
        do { region = try scratch.region(atLeast: padded).prefix(padded) } catch {
            throw .outOfMemory(error)
        }
        try wrappingIO { () throws(FileSystemError) in
            unsafe try file.read(into: region.prefix(there).mutableBytes, at: block.offset)
        }
        region[there..<padded].fillWithZeros()
        guard region.prefix(block.storedBytes).hash64 == block.storedHash else {
            throw .format(path, .damage(at: block.offset, "\(block.storedBytes) stored bytes do not have their hash"))
        }
        return region
    }
}
