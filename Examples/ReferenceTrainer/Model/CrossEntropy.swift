/// Mean over rows of -log softmax(logits)[target], summed in Double so that the mean over a large
/// batch keeps the precision of its terms.
///
/// Overwrites `logits` [targets.count, vocabulary] with the gradient of the mean.
func crossEntropy(_ logits: Matrix, targets: [UInt8]) -> Double {
    var total = 0.0
    for (r, target) in targets.enumerated() {
        total += crossEntropy(logits.row(r), target: Int(target), weight: 1 / Float(targets.count))
    }
    return total / Double(targets.count)
}

private func crossEntropy(_ logits: Row, target: Int, weight: Float) -> Double {
    let chosen = Double(logits[target])
    let logNormaliser = logits.softmax()
    logits[target] -= 1
    logits.scale(by: weight)
    return logNormaliser - chosen
}
