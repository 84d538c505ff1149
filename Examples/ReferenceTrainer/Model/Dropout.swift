/// Zeroes values with `probability` and scales up the others, so that the expectation stays.
/// A probability of zero draws nothing and leaves masks untouched.
struct Dropout {
    let probability: Float

    /// Draws `mask`, of the shape of `x`, and applies it to `x`.
    func forward(_ x: Matrix, mask: Matrix, random: inout RandomGenerator) {
        guard probability > 0 else { return }
        for r in 0..<x.rows {
            draw(mask.row(r), &random)
            x.row(r).multiply(by: mask.row(r))
        }
    }

    /// Overwrites `dx` with the gradient `dy` passed back through `mask`.
    func backward(_ dy: Matrix, mask: Matrix, into dx: Matrix) {
        dx.copy(dy)
        guard probability > 0 else { return }
        for r in 0..<dx.rows { dx.row(r).multiply(by: mask.row(r)) }
    }

    private func draw(_ mask: Row, _ random: inout RandomGenerator) {
        let kept = 1 / (1 - probability)
        for i in 0..<mask.count { mask[i] = random.nextUniform() < probability ? 0 : kept }
    }
}
