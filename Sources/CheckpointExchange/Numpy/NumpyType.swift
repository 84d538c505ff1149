package import CheckpointFormat

/// The element type that a numpy file describes. Of the types of ml_dtypes, numpy writes only the
/// width, so the type is inferred where one type has that width, or given by the user.
package struct NumpyType {
    let type: ElementType
    /// The assumption about the type, as a note; nil if the file states the type.
    let note: String?

    private static let types: [String: ElementType] = [
        "f8": .f64, "f4": .f32, "f2": .f16, "i8": .i64, "i4": .i32, "i2": .i16, "i1": .i8,
        "u8": .u64, "u4": .u32, "u2": .u16,
        "u1": .u8, "b1": .bool, "c8": .c64, "c16": .c128,
        // The only type of ml_dtypes that is a float to numpy.
        "f1": .f8e5m2,
    ]

    /// Names that other writers put in place of a description.
    private static let names: [String: ElementType] = [
        "bfloat16": .bf16, "float8_e4m3fn": .f8e4m3, "float8_e5m2": .f8e5m2,
        "float8_e4m3fnuz": .f8e4m3fnuz,
        "float8_e5m2fnuz": .f8e5m2fnuz, "float8_e4m3b11fnuz": .f8e4m3b11fnuz,
        "float8_e4m3": .f8e4m3ieee, "float8_e3m4": .f8e3m4,
        "float8_e8m0fnu": .f8e8m0, "complex32": .c32, "bcomplex32": .bc32,
    ]

    /// Types of ml_dtypes that have fewer bits than the byte that numpy keeps each element in.
    private static let bytes: Set = [
        "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "int1", "uint1", "int2", "uint2", "int4",
        "uint4",
    ]

    /// Returns the type that a file describes.
    ///
    /// - Parameters:
    ///   - description: the file's `descr`.
    ///   - voidType: type of elements of which the file states only the width; nil if unknown.
    /// - Throws: `FormatError` if the type is not supported.
    static func of(_ description: String, voidType: ElementType?) throws(FormatError) -> NumpyType {
        if let type = names[description] { return NumpyType(type: type, note: nil) }
        if bytes.contains(description) {
            return NumpyType(
                type: .u8,
                note: "each \(description) is imported as u8, the byte that NumPy stores it in")
        }
        let (order, kind) = (description.prefix(1), String(description.dropFirst()))
        guard "<>|=".contains(order) else { throw unknown(description) }
        if let type = types[kind] {
            guard order != ">" || type.width == 1 else {
                throw .unsupported(
                    at: 0,
                    "its elements are big-endian (\(description)); save them with .astype('<\(kind)')"
                )
            }
            return NumpyType(type: type, note: nil)
        }
        // Elements of 2 bytes without a type have no byte order in numpy; those of ml_dtypes have.
        if description == "<V2", voidType == nil { return NumpyType(type: .bf16, note: nil) }
        let assumed: [String: ElementType] = ["V1": .u8, "V2": .bf16, "W4": .c32]
        guard let usual = assumed[kind], order != ">" else { throw unknown(description) }
        if let voidType, voidType.width == usual.width, voidType.elementsPerUnit == 1 {
            return NumpyType(type: voidType, note: nil)
        }
        let other =
            voidType.map { "\($0), which --numpy-type names, does not have that width" }
            ?? "Choose another type with --numpy-type"
        let note =
            "its type \(description) states only the width of its elements; they are imported as "
            + "\(usual). \(other)"
        return NumpyType(type: usual, note: note)
    }

    /// Returns the type that ml_dtypes gives a name, such as `float8_e4m3fn`.
    ///
    /// - Parameter name: the name.
    /// - Returns: nil if it is none of them, or has fewer bits than the byte of an element.
    package static func named(_ name: String) -> ElementType? { names[name] }

    private static func unknown(_ description: String) -> FormatError {
        .unsupported(at: 0, "element type \(quoted(description)) is unknown")
    }
}
