package import CheckpointState

// Tests write numbers of blocks, units and slots as literals.

extension BlockIndex: ExpressibleByIntegerLiteral {
    package init(integerLiteral value: Int) { self.init(value) }
}

extension UnitIndex: ExpressibleByIntegerLiteral {
    package init(integerLiteral value: Int) { self.init(value) }
}

extension SlotIndex: ExpressibleByIntegerLiteral {
    package init(integerLiteral value: Int) { self.init(value) }
}
