import COpenBLAS

/// Uses one thread by default: the division of a product among threads determines the order of its
/// sums, so a thread count taken from the machine would make results depend on the machine.
private let startSingleThreaded: Void = openblas_set_num_threads(1)

/// Sets the number of threads of the matrix products.
///
/// Results are reproducible for equal thread counts and equal OpenBLAS kernels. The library selects
/// the kernels for the processor when it loads; OPENBLAS_CORETYPE in the environment overrides
/// that.
///
/// - Parameter count: number of threads, at least 1.
package func setThreads(_ count: Int) {
    precondition(count > 0)
    startSingleThreaded
    openblas_set_num_threads(Int32(count))
}

/// Computes c = scale * a b, or c += scale * a b if `accumulating`.
func multiply(
    _ a: Matrix, _ b: Matrix, into c: Matrix, scale: Float = 1, accumulating: Bool = false
) {
    startSingleThreaded
    let (m, k) = extents(a)
    let (inner, n) = extents(b)
    precondition(k == inner && c.rows == m && c.columns == n && !c.isTransposed)
    unsafe cblas_sgemm(
        CblasRowMajor, order(a), order(b), Int32(m), Int32(n), Int32(k),
        scale, a.tensor.base + a.offset, Int32(a.stride), b.tensor.base + b.offset, Int32(b.stride),
        accumulating ? 1 : 0, c.tensor.base + c.offset, Int32(c.stride))
}

private func extents(_ matrix: Matrix) -> (Int, Int) {
    matrix.isTransposed ? (matrix.columns, matrix.rows) : (matrix.rows, matrix.columns)
}

private func order(_ matrix: Matrix) -> CBLAS_TRANSPOSE {
    matrix.isTransposed ? CblasTrans : CblasNoTrans
}
