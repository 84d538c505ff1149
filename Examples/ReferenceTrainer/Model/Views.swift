/// A bounds-checked run of consecutive values of a tensor. It keeps the tensor alive.
///
/// The kernels loop over rows of equal `count`. They check the counts once before a loop, which
/// lets the optimizer remove the checks inside, so that the loops are still vectorized.
@safe
struct Row {
    private let owner: Tensor
    private let base: UnsafeMutablePointer<Float>
    let count: Int

    init(of owner: Tensor, offset: Int, count: Int) {
        precondition(offset >= 0 && count >= 0 && offset + count <= owner.count)
        self.owner = owner
        self.count = count
        unsafe base = owner.base + offset
    }

    private init(sharing row: Row, offset: Int, count: Int) {
        precondition(offset >= 0 && count >= 0 && offset + count <= row.count)
        owner = row.owner
        self.count = count
        unsafe base = row.base + offset
    }

    func prefix(_ count: Int) -> Row {
        Row(sharing: self, offset: 0, count: count)
    }

    func dropFirst(_ count: Int) -> Row {
        Row(sharing: self, offset: count, count: self.count - count)
    }

    @inline(__always)
    subscript(index: Int) -> Float {
        get {
            precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
            return unsafe base[index]
        }
        nonmutating set {
            precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
            unsafe base[index] = newValue
        }
    }
}

/// A two-dimensional window of a tensor: `rows` runs of `columns` values, `stride` values apart.
///
/// `transposed` only marks the order in which `multiply` reads the window; rows and columns remain
/// those in memory.
struct Matrix {
    let tensor: Tensor
    let offset: Int
    let rows: Int
    let columns: Int
    let stride: Int
    let isTransposed: Bool

    private init(
        _ tensor: Tensor, offset: Int, rows: Int, columns: Int, stride: Int, isTransposed: Bool
    ) {
        precondition(offset >= 0 && rows > 0 && columns > 0 && columns <= stride)
        precondition(offset + (rows - 1) * stride + columns <= tensor.count)
        self.tensor = tensor
        self.offset = offset
        self.rows = rows
        self.columns = columns
        self.stride = stride
        self.isTransposed = isTransposed
    }

    /// Views a complete tensor, with its last extent as columns and all other extents combined as
    /// rows.
    init(_ tensor: Tensor) {
        let columns = tensor.shape.last ?? 1
        self.init(
            tensor, offset: 0, rows: tensor.count / columns, columns: columns, stride: columns,
            isTransposed: false)
    }

    /// Allocates a matrix of zeros.
    init(zeros name: String, _ rows: Int, _ columns: Int) {
        self.init(Tensor(name: name, shape: [rows, columns]))
    }

    var transposed: Matrix {
        Matrix(
            tensor, offset: offset, rows: rows, columns: columns, stride: stride,
            isTransposed: !isTransposed)
    }

    /// Returns the window of `rows` x `columns` with its first value at (`row`, `column`).
    func block(row: Int, column: Int, rows: Int, columns: Int) -> Matrix {
        precondition(row >= 0 && row + rows <= self.rows)
        precondition(column >= 0 && column + columns <= self.columns)
        return Matrix(
            tensor, offset: offset + row * stride + column, rows: rows, columns: columns,
            stride: stride, isTransposed: false)
    }

    func row(_ index: Int) -> Row {
        precondition(index >= 0 && index < rows)
        return Row(of: tensor, offset: offset + index * stride, count: columns)
    }
}

extension Tensor {
    /// All values as one row.
    var row: Row { Row(of: self, offset: 0, count: count) }
    var matrix: Matrix { Matrix(self) }
}
