/// Number of a group in a capture plan. Several groups may share a unit.
package struct GroupIndex: Hashable, Sendable {
    package let rawValue: Int

    package init(_ rawValue: Int) { self.rawValue = rawValue }
}
