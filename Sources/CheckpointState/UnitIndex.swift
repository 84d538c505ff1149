/// Number of a unit in a capture plan: the granularity of fences.
package struct UnitIndex: Hashable, Sendable {
    package let rawValue: Int

    package init(_ rawValue: Int) { self.rawValue = rawValue }
}
