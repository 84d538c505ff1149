internal import Glibc

/// Page-aligned memory that is mapped once and kept, as O_DIRECT requires. It uses huge pages if
/// the kernel provides them. All pages are touched in the initializer, because the first touch of a
/// page costs more than a hundred later copies.
@safe
package final class AlignedBuffer: @unchecked Sendable {
    package let count: Int
    private let start: UnsafeMutableRawPointer
    private let mappedBytes: Int
    private static let hugePageBytes = 2 << 20

    /// Maps memory and fills it with zeros.
    ///
    /// - Parameters:
    ///   - count: Size in bytes; more than 0. The mapping is rounded up to whole pages.
    ///   - hugePages: Use pages of 2 MiB (madvise(2), MADV_HUGEPAGE).
    ///   - untouched: Bytes that take memory only when they are first used. They are zeros, too.
    /// - Throws: `OutOfMemory` if the system refuses the mapping.
    package init(
        count: Int, hugePages: Bool = true, untouched: Range<Int> = 0..<0
    ) throws(OutOfMemory) {
        precondition(count > 0 && untouched.lowerBound >= 0 && untouched.upperBound <= count)
        let unit = hugePages ? Self.hugePageBytes : 4096
        mappedBytes = (count + unit - 1) / unit * unit
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let mapped = unsafe mmap(nil, mappedBytes, PROT_READ | PROT_WRITE, flags, -1, 0), unsafe mapped != MAP_FAILED
        else { throw OutOfMemory(bytes: count) }
        unsafe start = mapped
        self.count = count
        // Only advice: without huge pages, everything works more slowly.
        if hugePages { _ = unsafe madvise(mapped, mappedBytes, 14 /* MADV_HUGEPAGE */) }
        unsafe memset(mapped, 0, untouched.lowerBound)
        unsafe memset(mapped + untouched.upperBound, 0, mappedBytes - untouched.upperBound)
    }

    deinit { unsafe munmap(start, mappedBytes) }

    /// The memory. The region keeps this object alive.
    package var region: MemoryRegion { unsafe MemoryRegion(start: start, count: count, owner: self) }
}
