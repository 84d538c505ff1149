internal import Glibc

/// A range of full pages of the process's memory: at least one page.
package struct PageRange: Hashable, Sendable {
    /// Size of a page in bytes: 4096, or the kernel's build-time choice.
    package static let pageSize = UInt(sysconf(Int32(_SC_PAGESIZE)))

    /// Address of the first byte; a multiple of the page size.
    package let start: UInt
    /// Address after the last byte; a multiple of the page size.
    package let end: UInt

    /// Finds the full pages inside a range of addresses.
    ///
    /// - Parameters:
    ///   - start: address of the first byte.
    ///   - byteCount: size of the range in bytes.
    /// - Returns: nil if the range contains no full page.
    package init?(inside start: UInt, byteCount: Int) {
        let size = Self.pageSize
        let first = (start + size - 1) / size * size
        let end = (start + UInt(byteCount)) / size * size
        guard first < end else { return nil }
        self.init(start: first, end: end)
    }

    /// Creates a range of pages.
    ///
    /// - Parameters:
    ///   - start: address of the first byte.
    ///   - end: address after the last byte.
    /// - Precondition: both are multiples of the page size, with at least one page between them.
    package init(start: UInt, end: UInt) {
        precondition(start < end && start % Self.pageSize == 0 && end % Self.pageSize == 0, "not whole pages: \(start) to \(end)")
        self.start = start
        self.end = end
    }

    package var byteCount: Int { Int(end - start) }

    package var pageCount: Int { byteCount / Int(Self.pageSize) }

    package func contains(_ address: UInt) -> Bool { start <= address && address < end }

    /// Returns the pages that are in both ranges.
    ///
    /// - Parameter other: another range.
    /// - Returns: the common pages; nil if the ranges do not overlap.
    package func intersection(_ other: PageRange) -> PageRange? {
        let (start, end) = (max(start, other.start), min(end, other.end))
        return start < end ? PageRange(start: start, end: end) : nil
    }
}

extension PageRange: CustomStringConvertible {
    package var description: String { "0x\(String(start, radix: 16))-0x\(String(end, radix: 16))" }
}
