/// The times of one save: how long its phases took, and how long the trainer waited for it.
struct SaveTiming {
    var toCaptured = Duration.zero
    var toDurable = Duration.zero
    var stall = StallMeter()
}
