/// Number of a thread's wait at a fence.
struct FenceID: Hashable, Sendable {
    let rawValue: Int

    init(_ rawValue: Int) { self.rawValue = rawValue }
}
