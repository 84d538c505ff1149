package import CheckpointFormat

/// The beginning of a NumPy file (numpy.lib.format, version 1.0).
package enum NumpyWriter {
    /// Returns the header of a file whose elements follow in row-major order.
    ///
    /// Types that NumPy lacks are written as ml_dtypes writes them, as opaque elements of their
    /// width: `array.view(ml_dtypes.bfloat16)` gives them their type again.
    ///
    /// - Parameters:
    ///   - type: the element type.
    ///   - shape: the shape.
    /// - Returns: the header, a multiple of 64 bytes; nil if no NumPy type has the width.
    package static func header(_ type: ElementType, _ shape: [Int]) -> [UInt8]? {
        guard let description = description(type) else { return nil }
        let extents = shape.map { "\($0)," }.joined(separator: " ")
        // A tuple of one element ends in a comma; of more, it may.
        let tuple = shape.count == 1 ? extents : String(extents.dropLast())
        let text = "{'descr': '\(description)', 'fortran_order': False, 'shape': (\(tuple)), }"
        let prefix = NumpyHeader.magic + [1, 0]
        let unpadded = prefix.count + 2 + text.utf8.count + 1
        let padding = (64 - unpadded % 64) % 64
        let length = UInt16(text.utf8.count + padding + 1)
        return prefix + [UInt8(truncatingIfNeeded: length), UInt8(truncatingIfNeeded: length >> 8)]
            + Array(text.utf8) + [UInt8](repeating: 0x20, count: padding) + [0x0A]
    }

    private static func description(_ type: ElementType) -> String? {
        switch type {
        case .f64: "<f8"
        case .f32: "<f4"
        case .f16: "<f2"
        case .i64: "<i8"
        case .i32: "<i4"
        case .i16: "<i2"
        case .i8: "|i1"
        case .u64: "<u8"
        case .u32: "<u4"
        case .u16: "<u2"
        case .u8: "|u1"
        case .bool: "|b1"
        case .c64: "<c8"
        case .c128: "<c16"
        case .bf16: "<V2"
        case .f8e5m2: "<f1"
        case .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .f8e4m3b11fnuz, .f8e4m3ieee, .f8e3m4: "|V1"
        case .c32, .bc32, .f6e2m3, .f6e3m2, .f4e2m1, .i4, .u4, .i2, .u2, .i1, .u1: nil
        }
    }
}
