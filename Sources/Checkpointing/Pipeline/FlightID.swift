/// Number of a save in the pipeline; the next save has the next number.
struct FlightID: Hashable, Sendable {
    let rawValue: Int

    init(_ rawValue: Int) { self.rawValue = rawValue }
}
