/// Memory of the host program, lent to the engine.
///
/// The lender promises that the bytes stay mapped and do not move while the state that names them is registered (`owner`, if
/// given, is retained and should see to that), and that they change only while a `MutationPermit` for their group is
/// held. The engine reads them while it captures and writes them while it restores, never otherwise.
@safe
public struct LentMemory: @unchecked Sendable {
    package let start: UnsafeMutableRawPointer?
    /// Size in bytes.
    public let byteCount: Int
    private let owner: AnyObject?

    /// - Parameters:
    ///   - start: the first byte; may be nil if `byteCount` is 0.
    ///   - byteCount: size in bytes.
    ///   - owner: kept alive as long as the loan.
    public init(start: UnsafeMutableRawPointer?, byteCount: Int, owner: AnyObject? = nil) {
        unsafe precondition(byteCount >= 0 && (byteCount == 0 || start != nil), "memory of \(byteCount) bytes at no address")
        unsafe self.start = start
        self.byteCount = byteCount
        self.owner = owner
    }

    package func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        guard let start = unsafe start else { return unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        return unsafe UnsafeMutableRawBufferPointer(start: start + range.lowerBound, count: range.count)
    }
}
