internal import CheckpointFormat

/// Encodes a slice in every possible order of its elements and keeps the smallest result.
@safe
struct SortedTrial {
    /// An order of elements.
    private enum Order {
        case asTheyAre, byBase, byGrid
    }

    // Not an array, because encoding must not allocate.
    private static let orders = [.asTheyAre, .byBase, .byGrid] as InlineArray<3, Order>

    /// Elements in one order, and the plan to store them.
    @safe
    private struct Elements {
        var raw: UnsafeRawBufferPointer
        var base: UnsafeRawBufferPointer?
        var plan: PlanePlan
        var grid: SubBlockGrid?
    }

    private let scratch: PlaneScratch
    private let slice: SubBlockSlice
    private let raw: UnsafeRawBufferPointer
    private let base: UnsafeRawBufferPointer?

    init(_ scratch: PlaneScratch, _ slice: SubBlockSlice, raw: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer?) {
        (self.scratch, self.slice) = (scratch, slice)
        unsafe (self.raw, self.base) = (raw, base)
    }

    /// Encodes the slice.
    ///
    /// - Returns: False if it does not fit.
    func append(to encoder: inout SubBlockEncoder) -> Bool {
        let start = encoder.count
        var best: (order: Order, bytes: Int)?
        var last: Order?
        for index in Self.orders.indices {
            let order = Self.orders[index]
            guard let elements = elements(order) else { continue }
            encoder.rewind(to: start)
            guard append(elements, to: &encoder) else { continue }
            last = order
            if encoder.count - start < best?.bytes ?? .max { best = (order, encoder.count - start) }
        }
        guard let best else { return false }
        if best.order == last, encoder.count - start == best.bytes { return true }
        encoder.rewind(to: start)
        return elements(best.order).map { append($0, to: &encoder) } ?? false
    }

    private func append(_ elements: Elements, to encoder: inout SubBlockEncoder) -> Bool {
        unsafe encoder.append(elements.raw, base: elements.base, elements.plan, grid: elements.grid, lines: scratch.sorter)
    }

    /// Returns the elements in an order and the plan to store them; nil if this order gains
    /// nothing.
    private func elements(_ order: Order) -> Elements? {
        switch order {
        case .asTheyAre: unsafe planned(Elements(raw: raw, base: base, plan: .raw), .any)
        case .byBase: sortedByBase().flatMap { planned($0, .some) }
        case .byGrid: sortedByGrid().flatMap { planned($0, .none) }
        }
    }

    private func planned(_ elements: Elements, _ residuals: PlaneTrial.Residuals) -> Elements? {
        var (elements, isSorted) = unsafe (elements, elements.raw.baseAddress != raw.baseAddress)
        let base = unsafe elements.base
        let plan = unsafe PlaneTrial(scratch, .max, raw: elements.raw, base: base).plan(for: slice.type, residuals)
        if isSorted, plan.transform.width != slice.type?.width { return nil }
        elements.plan = unsafe PlaneDrift(scratch, .max, raw: elements.raw, base: base).adapt(plan)
        elements.plan.transform.isSorted = isSorted
        return elements
    }

    /// Size of an element in bytes, if elements of this type can be sorted by magnitude; otherwise
    /// nil.
    private var width: Int? {
        guard let type = slice.type, type.isFloat, type.width > 1, unsafe raw.count >= 4096 else { return nil }
        return type.width
    }

    private func sortedByBase() -> Elements? {
        guard let base = unsafe base, let width, let sorter = scratch.sorter else { return nil }
        unsafe sorter.order(by: base, count: raw.count / width, width: width)
        return unsafe Elements(raw: sorter.sorted(raw, width: width), base: sorter.sorted(base, width: width, isBase: true), plan: .raw)
    }

    private func sortedByGrid() -> Elements? {
        guard let width, let grid = slice.grid(width), let sorter = scratch.sorter, unsafe grid.isPossible(raw.count / width),
            unsafe sorter.fit(grid, raw, width: width)
        else { return nil }
        unsafe sorter.order(by: grid, count: raw.count / width)
        return unsafe Elements(raw: sorter.sorted(raw, width: width), base: nil, plan: .raw, grid: grid)
    }
}
