internal import CKernels
internal import CheckpointFormat

/// Memory for sorting the elements of a sub-block, and the current order (Formats/codecs.md, Sorted
/// sub-blocks).
@safe
final class ElementSorter {
    /// Maximum number of elements: elements of two bytes are the smallest that are sorted.
    private static let elementsMax = SubBlockHeader.rawBytesMax / 2
    /// Maximum number of rows and of columns in `fit`. With more, the sums would overflow 32 bits,
    /// and a row or a column would predict little about its elements.
    static let fittedMax = 1 << 16
    private static let quartersMiddle = 128.0

    private let keys: AlignedBuffer
    private let order: AlignedBuffer
    private let bytes: AlignedBuffer
    private let elements: AlignedBuffer
    private let sums: AlignedBuffer

    init() throws(OutOfMemory) {
        keys = try AlignedBuffer(count: 2 * Self.elementsMax, hugePages: false)
        order = try AlignedBuffer(count: 4 * Self.elementsMax, hugePages: false)
        bytes = try AlignedBuffer(count: 2 * Self.lineRoom, hugePages: false)
        elements = try AlignedBuffer(count: 2 * SubBlockHeader.rawBytesMax, hugePages: false)
        sums = try AlignedBuffer(count: 4 * 4 * Self.fittedMax, hugePages: false)
    }

    // MARK: Rows and columns

    private typealias Line = UnsafeMutableBufferPointer<UInt32>

    private static let lineRoom = elementsMax + 64

    /// Returns the memory for one byte per column.
    func columns(of grid: SubBlockGrid) -> UnsafeMutableRawBufferPointer { unsafe bytes.region[0..<grid.columns].mutableBytes }

    /// Returns the memory for one byte per row.
    func rows(of grid: SubBlockGrid, _ count: Int) -> UnsafeMutableRawBufferPointer {
        unsafe bytes.region[Self.lineRoom..<Self.lineRoom + grid.rows(count)].mutableBytes
    }

    /// Computes the byte of every column and row: the mean exponent of its elements minus the mean
    /// of all elements, in quarters.
    ///
    /// - Parameters:
    ///   - grid: The rows and columns.
    ///   - raw: The elements.
    ///   - width: Size of an element in bytes.
    /// - Returns: False if the grid is too large, has only one row, or all elements are zero.
    func fit(_ grid: SubBlockGrid, _ raw: UnsafeRawBufferPointer, width: Int) -> Bool {
        let count = raw.count / width
        let rowCount = grid.rows(count)
        guard max(grid.columns, rowCount) <= Self.fittedMax, rowCount > 1 else { return false }
        sums.region.fillWithZeros()
        let start = unsafe sums.region.mutableBytes.bindMemory(to: UInt32.self)
        func line(_ index: Int) -> Line {
            unsafe UnsafeMutableBufferPointer(rebasing: start[index * Self.fittedMax..<(index + 1) * Self.fittedMax])
        }
        unsafe ck_grid_sums(
            raw.baseAddress, count, UInt32(width), grid.first, grid.columns, line(0).baseAddress, line(1).baseAddress,
            line(2).baseAddress, line(3).baseAddress)
        var (total, counted) = (0.0, 0.0)
        for row in 0..<rowCount {
            total += unsafe Double(line(2)[row])
            counted += unsafe Double(line(3)[row])
        }
        guard counted > 0 else { return false }
        unsafe Self.fill(columns(of: grid), line(0), line(1), mean: total / counted)
        unsafe Self.fill(rows(of: grid, count), line(2), line(3), mean: total / counted)
        return true
    }

    private static func fill(
        _ line: UnsafeMutableRawBufferPointer, _ sums: Line, _ counts: Line, mean: Double
    ) {
        for index in line.indices {
            let excess = unsafe counts[index] == 0 ? 0 : Double(sums[index]) / Double(counts[index]) - mean
            unsafe line[index] = UInt8(min(max(excess.rounded() + quartersMiddle, 0), 255))
        }
    }

    // MARK: Order

    /// Computes the order of elements by the bytes of their rows and columns, which must have been
    /// set.
    func order(by grid: SubBlockGrid, count: Int) {
        unsafe ck_grid_keys(
            columns(of: grid).baseAddress?.assumingMemoryBound(to: UInt8.self), grid.columns,
            rows(of: grid, count).baseAddress?.assumingMemoryBound(to: UInt8.self), grid.first, count, keyStart)
        unsafe ck_sorted_order(keyStart, count, orderStart)
    }

    /// Computes the order of elements by the exponents of a base.
    func order(by base: UnsafeRawBufferPointer, count: Int, width: Int) {
        unsafe ck_exponent_keys(base.baseAddress, count, UInt32(width), keyStart)
        unsafe ck_sorted_order(keyStart, count, orderStart)
    }

    private var keyStart: UnsafeMutablePointer<UInt16>? {
        unsafe keys.region.mutableBytes.baseAddress?.assumingMemoryBound(to: UInt16.self)
    }
    private var orderStart: UnsafeMutablePointer<UInt32>? {
        unsafe order.region.mutableBytes.baseAddress?.assumingMemoryBound(to: UInt32.self)
    }

    // MARK: Elements

    /// Returns the memory for sorted elements, of the block or of the base.
    func room(_ count: Int, forBase: Bool = false) -> UnsafeMutableRawBufferPointer {
        let start = forBase ? SubBlockHeader.rawBytesMax : 0
        return unsafe elements.region[start..<start + count].mutableBytes
    }

    /// Returns the elements in the current order, followed by the tail: the bytes after the last
    /// complete element.
    func sorted(_ raw: UnsafeRawBufferPointer, width: Int, isBase: Bool = false) -> UnsafeRawBufferPointer {
        let room = unsafe room(raw.count, forBase: isBase)
        unsafe ck_sort(room.baseAddress, raw.baseAddress, orderStart, raw.count / width, UInt32(width))
        let tail = raw.count / width * width
        unsafe UnsafeMutableRawBufferPointer(rebasing: room[tail...]).copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[tail...]))
        return UnsafeRawBufferPointer(room)
    }

    /// Copies the elements in `room` back to their original places.
    func unsort(into elements: UnsafeMutableRawPointer, count: Int, width: Int) {
        unsafe ck_unsort(elements, room(count * width).baseAddress, orderStart, count, UInt32(width))
    }
}
