extension Row {
    func fill(_ value: Float) {
        for i in 0..<count { self[i] = value }
    }

    func copy(_ other: Row) {
        precondition(count == other.count)
        for i in 0..<count { self[i] = other[i] }
    }

    func add(_ other: Row) {
        precondition(count == other.count)
        for i in 0..<count { self[i] += other[i] }
    }

    func multiply(by other: Row) {
        precondition(count == other.count)
        for i in 0..<count { self[i] *= other[i] }
    }

    func scale(by factor: Float) {
        for i in 0..<count { self[i] *= factor }
    }

    var maximum: Float {
        var result = -Float.infinity
        for i in 0..<count where self[i] > result { result = self[i] }
        return result
    }

    var sum: Float {
        var total: Float = 0
        for i in 0..<count { total += self[i] }
        return total
    }

    func dot(_ other: Row) -> Float {
        precondition(count == other.count)
        var total: Float = 0
        for i in 0..<count { total += self[i] * other[i] }
        return total
    }
}

extension Matrix {
    func copy(_ other: Matrix) {
        for r in 0..<rows { row(r).copy(other.row(r)) }
    }

    func add(_ other: Matrix) {
        for r in 0..<rows { row(r).add(other.row(r)) }
    }
}
