internal import CKernels
internal import CheckpointFormat

/// The memory for sorting the elements of a sub-block, and what is known of their order (Formats/codecs.md, Sorted sub-blocks).
@safe
final class ElementSorter {
    /// Elements of two bytes are the most.
    private static let elementsMax = SubBlockHeader.rawBytesMax / 2
    /// Larger grids are not fitted: their sums would not fit into 32 bits, and rows and columns are too many to tell anything.
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

    /// A byte for each column.
    func columns(of grid: SubBlockGrid) -> UnsafeMutableRawBufferPointer { unsafe bytes.region[0..<grid.columns].mutableBytes }

    /// A byte for each row.
    func rows(of grid: SubBlockGrid, _ count: Int) -> UnsafeMutableRawBufferPointer {
        unsafe bytes.region[Self.lineRoom..<Self.lineRoom + grid.rows(count)].mutableBytes
    }

    /// Gives every column and row the byte that says how large its elements are, in quarters of an exponent: what a column or a row has
    /// more than all.
    /// - Returns: false if the grid is too large.
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

    /// Finds the order by rows and columns, whose bytes are there already.
    func order(by grid: SubBlockGrid, count: Int) {
        unsafe ck_grid_keys(
            columns(of: grid).baseAddress?.assumingMemoryBound(to: UInt8.self), grid.columns,
            rows(of: grid, count).baseAddress?.assumingMemoryBound(to: UInt8.self), grid.first, count, keyStart)
        unsafe ck_sorted_order(keyStart, count, orderStart)
    }

    /// Finds the order by the exponents of a base.
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

    /// Room for elements in order, and for those of the base.
    func room(_ count: Int, forBase: Bool = false) -> UnsafeMutableRawBufferPointer {
        let start = forBase ? SubBlockHeader.rawBytesMax : 0
        return unsafe elements.region[start..<start + count].mutableBytes
    }

    /// The elements in order, and behind them what is no whole element.
    func sorted(_ raw: UnsafeRawBufferPointer, width: Int, isBase: Bool = false) -> UnsafeRawBufferPointer {
        let room = unsafe room(raw.count, forBase: isBase)
        unsafe ck_sort(room.baseAddress, raw.baseAddress, orderStart, raw.count / width, UInt32(width))
        let tail = raw.count / width * width
        unsafe UnsafeMutableRawBufferPointer(rebasing: room[tail...]).copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[tail...]))
        return UnsafeRawBufferPointer(room)
    }

    /// Puts the elements in `room` back to where they belong.
    func unsort(into elements: UnsafeMutableRawPointer, count: Int, width: Int) {
        unsafe ck_unsort(elements, room(count * width).baseAddress, orderStart, count, UInt32(width))
    }
}
