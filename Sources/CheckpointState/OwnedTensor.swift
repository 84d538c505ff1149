internal import CheckpointCodecs
internal import CheckpointFormat

/// A dense, row-major tensor in memory that it owns and never moves: the simplest state to lend.
///
///     let weight = try OwnedTensor<Float>(repeating: 0, shape: [768, 768])
///     let state = CompositeState { TensorState("weight", weight.view) }
///
/// As with all lent memory, change the elements only while a `MutationPermit` is held. Not for
/// concurrent changes by several threads of the same elements.
@safe
public final class OwnedTensor<Scalar: TensorScalar>: @unchecked Sendable {
    /// Extents in elements, slowest dimension first; `[]` is a scalar.
    public let shape: [Int]
    private let buffer: AlignedBuffer
    private let elements: UnsafeMutableBufferPointer<Scalar>

    /// Allocates a tensor whose elements all have one value.
    ///
    /// - Parameters:
    ///   - value: the value.
    ///   - shape: extents in elements, slowest dimension first.
    /// - Throws: `StateError` if the shape is negative or too large; an error if the system refuses
    ///   the memory.
    public init(repeating value: Scalar, shape: [Int]) throws {
        guard let byteCount = TensorShape.byteCount(shape, Scalar.elementType) else {
            throw StateError("\(shape) is not the shape of a tensor")
        }
        self.shape = shape
        // Guarded capture protects pages; the pages of the tensor contain no other data.
        let pages = (max(byteCount, 1) + Limits.pageBytes - 1) / Limits.pageBytes
        buffer = try AlignedBuffer(
            count: pages * Limits.pageBytes, hugePages: byteCount >= 2 << 20)
        let memory = unsafe buffer.region.prefix(byteCount).mutableBytes
        unsafe elements = memory.bindMemory(to: Scalar.self)
        unsafe elements.initialize(repeating: value)
    }

    /// Allocates a tensor and copies values into it.
    ///
    /// - Parameters:
    ///   - values: the elements in row-major order.
    ///   - shape: extents in elements; nil means one dimension.
    /// - Throws: `StateError` if the shape does not have as many elements; an error if the system
    ///   refuses the memory.
    public convenience init(_ values: [Scalar], shape: [Int]? = nil) throws {
        let shape = shape ?? [values.count]
        guard TensorShape.elementCount(shape) == values.count else {
            throw StateError("shape \(shape) does not have \(values.count) elements")
        }
        // An empty tensor has no value to repeat.
        guard let first = values.first else {
            try self.init(empty: shape)
            return
        }
        try self.init(repeating: first, shape: shape)
        for (index, value) in values.enumerated() { self[index] = value }
    }

    private init(empty shape: [Int]) throws {
        self.shape = shape
        buffer = try AlignedBuffer(count: Limits.pageBytes, hugePages: false)
        unsafe elements = UnsafeMutableBufferPointer(start: nil, count: 0)
    }

    /// Number of elements.
    public var count: Int { unsafe elements.count }

    /// An element by its position in row-major order.
    ///
    /// - Parameter index: the position, from 0 to `count` - 1.
    public subscript(index: Int) -> Scalar {
        get {
            precondition(index >= 0 && index < count, "element \(index) of \(count)")
            return unsafe elements[index]
        }
        set {
            precondition(index >= 0 && index < count, "element \(index) of \(count)")
            unsafe elements[index] = newValue
        }
    }

    /// Calls `body` with the elements in row-major order, to read and change them without a check
    /// for each.
    ///
    /// - Parameter body: the code to run; the span ends with it.
    /// - Returns: the result of `body`.
    /// - Throws: the error of `body`.
    public func withElements<R, E: Error>(
        _ body: (inout MutableSpan<Scalar>) throws(E) -> R
    ) throws(E) -> R {
        var span = unsafe elements.mutableSpan
        return try body(&span)
    }

    /// A copy of the elements in row-major order.
    public var values: [Scalar] { unsafe Array(elements) }

    /// The tensor as state to save and restore. It keeps the memory alive.
    public var view: TensorView {
        let start = unsafe UnsafeMutableRawPointer(elements.baseAddress)
        let byteCount = count * Scalar.elementType.width
        let memory = unsafe LentMemory(start: start, byteCount: byteCount, owner: self)
        do { return try TensorView(memory, type: Scalar.elementType, shape: shape) } catch {
            preconditionFailure("a shape that was checked does not fit: \(error)")
        }
    }
}

extension TensorView {
    /// Views a row-major tensor in memory that the caller owns; its element type is that of the
    /// elements.
    ///
    /// Never lend the buffer of an `Array`: an array moves when it grows, and when another copy of
    /// it is changed. The memory must stay mapped and in its place as long as a checkpointer knows
    /// the state.
    ///
    /// - Parameters:
    ///   - elements: the memory.
    ///   - shape: extents in elements, slowest dimension first; nil means one dimension.
    ///   - owner: object to keep alive as long as the view.
    /// - Throws: `StateError` if the shape is negative, overflows, or does not fit.
    public init<Scalar: TensorScalar>(
        _ elements: UnsafeMutableBufferPointer<Scalar>, shape: [Int]? = nil,
        owner: AnyObject? = nil
    ) throws(StateError) {
        let start = UnsafeMutableRawPointer(elements.baseAddress)
        let byteCount = elements.count * Scalar.elementType.width
        let memory = unsafe LentMemory(start: start, byteCount: byteCount, owner: owner)
        let shape = shape ?? [elements.count]
        try self.init(memory, type: Scalar.elementType, shape: shape)
    }
}
