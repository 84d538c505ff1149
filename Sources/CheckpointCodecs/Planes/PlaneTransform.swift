internal import CKernels
internal import CheckpointFormat

/// The transform of a sub-block's elements before they are split into planes (Formats/codecs.md,
/// Sub-blocks).
package struct PlaneTransform: Equatable, Sendable {
    /// Operation on an element and the base's element at the same place.
    package enum Residual: UInt8, Sendable, CaseIterable {
        case none, xor, difference, ordered
    }

    /// Size of an element in bytes: 1, 2, 4 or 8.
    package var width: Int
    /// Rotation to the left in bits: 0 to 7.
    package var rotation = 0
    package var residual = Residual.none
    /// True if elements are sorted by their keys.
    package var isSorted = false

    /// Creates a transform.
    ///
    /// - Parameters:
    ///   - width: Size of an element in bytes: 1, 2, 4 or 8.
    ///   - rotation: Rotation to the left in bits: 0 to 7; 0 for width 1.
    ///   - residual: Operation on the element and the base's element.
    ///   - isSorted: Elements are sorted by their keys; false for width 1.
    package init(width: Int, rotation: Int = 0, residual: Residual = .none, isSorted: Bool = false)
    {
        self.width = width
        self.rotation = rotation
        self.residual = residual
        self.isSorted = isSorted
    }

    /// True if the format allows the transform.
    package var isValid: Bool {
        [1, 2, 4, 8].contains(width) && (0...7).contains(rotation)
            && !(width == 1 && (rotation != 0 || isSorted))
    }

    /// True if the keys come from a grid that is stored with the elements.
    package var hasGrid: Bool { isSorted && residual == .none }

    /// The bits above the length in the header's first word.
    var layout: Int {
        let rotated = (rotation & 1) << 2 | (rotation >> 1) << 5
        return width.trailingZeroBitCount | rotated | Int(residual.rawValue) << 3
            | (isSorted ? 128 : 0)
    }

    init?(layout: Int) {
        guard let residual = Residual(rawValue: UInt8(layout >> 3 & 3)) else { return nil }
        self.init(
            width: 1 << (layout & 3), rotation: layout >> 2 & 1 | (layout >> 5 & 3) << 1,
            residual: residual, isSorted: layout & 128 != 0)
        if !isValid { return nil }
    }
}
