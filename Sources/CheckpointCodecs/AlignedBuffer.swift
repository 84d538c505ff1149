internal import Glibc

/// Memory mapped once, on huge pages where the kernel gives them, touched at once and kept: a first touch costs more than
/// a hundred later copies. Page-aligned, as O_DIRECT wants it.
@safe
package final class AlignedBuffer: @unchecked Sendable {
    package let count: Int
    private let start: UnsafeMutableRawPointer
    private let mappedBytes: Int
    private static let hugePageBytes = 2 << 20

    /// - Throws: `OutOfMemory` if the system refuses the mapping.
    package init(count: Int, hugePages: Bool = true) throws(OutOfMemory) {
        precondition(count > 0)
        let unit = hugePages ? Self.hugePageBytes : 4096
        mappedBytes = (count + unit - 1) / unit * unit
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let mapped = unsafe mmap(nil, mappedBytes, PROT_READ | PROT_WRITE, flags, -1, 0), unsafe mapped != MAP_FAILED
        else { throw OutOfMemory(bytes: count) }
        unsafe start = mapped
        self.count = count
        // Advice only: without huge pages everything works, slower.
        if hugePages { _ = unsafe madvise(mapped, mappedBytes, 14 /* MADV_HUGEPAGE */) }
        unsafe memset(mapped, 0, mappedBytes)
    }

    deinit { unsafe munmap(start, mappedBytes) }

    package var region: MemoryRegion { unsafe MemoryRegion(start: start, count: count, owner: self) }
}

/// The system gave no memory.
package struct OutOfMemory: Error, CustomStringConvertible {
    package var bytes: Int
    package var description: String { "the system refused \(bytes) bytes of memory" }
}
