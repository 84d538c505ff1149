import Glibc

/// Linear warm-up to `peak`, then a cosine decay to `floor`, reached at `totalSteps` and kept.
package struct LearningRateSchedule: Codable, Sendable, Equatable {
    /// Rate at the end of the warm-up.
    package var peak: Float
    /// Rate from `totalSteps` on.
    package var floor: Float
    /// Length of the linear rise.
    package var warmupSteps: Int
    /// Length of the rise and the decay together.
    package var totalSteps: Int

    /// Creates a schedule with 0 <= `warmupSteps` <= `totalSteps`.
    ///
    /// - Parameters:
    ///   - peak: learning rate at the end of the warm-up.
    ///   - floor: learning rate from `totalSteps` on.
    ///   - warmupSteps: length of the warm-up in steps.
    ///   - totalSteps: length of warm-up and decay together, in steps.
    package init(peak: Float, floor: Float, warmupSteps: Int, totalSteps: Int) {
        self.peak = peak
        self.floor = floor
        self.warmupSteps = warmupSteps
        self.totalSteps = totalSteps
    }

    /// Returns the learning rate of a step.
    ///
    /// - Parameter step: number of the step, from 0.
    package func rate(at step: Int) -> Float {
        if step < warmupSteps { return peak * Float(step + 1) / Float(warmupSteps) }
        if step >= totalSteps { return floor }
        let progress = Double(step - warmupSteps) / Double(totalSteps - warmupSteps)
        return floor + (peak - floor) * Float(0.5 * (1 + cos(Double.pi * progress)))
    }
}
