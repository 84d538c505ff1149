/// Continues a text with bytes drawn from the model's predictions.
///
/// - Parameters:
///   - model: the model.
///   - prompt: text to continue; must not be empty.
///   - count: number of bytes to add.
///   - temperature: 0 always takes the most likely byte and draws no random number.
///   - random: source of the draws.
/// - Returns: the added bytes, without the prompt.
/// - Throws: the error of the model's group.
package func sample(
    from model: GPT, prompt: [UInt8], count: Int, temperature: Float = 1,
    random: inout RandomGenerator
) throws -> [UInt8] {
    var text = prompt
    for _ in 0..<count {
        let logits = try model.nextTokenLogits(after: text.suffix(model.configuration.context))
        text.append(UInt8(choose(logits, temperature: temperature, random: &random)))
    }
    return Array(text.dropFirst(prompt.count))
}

private func choose(_ logits: Row, temperature: Float, random: inout RandomGenerator) -> Int {
    guard temperature > 0 else { return likeliest(logits) }
    logits.scale(by: 1 / temperature)
    logits.softmax()
    var remaining = random.nextUniform()
    for i in 0..<logits.count {
        remaining -= logits[i]
        if remaining < 0 { return i }
    }
    // Rounding can leave a sum just short of one.
    return likeliest(logits)
}

private func likeliest(_ values: Row) -> Int {
    let peak = values.maximum
    return (0..<values.count).first { values[$0] == peak } ?? 0
}
