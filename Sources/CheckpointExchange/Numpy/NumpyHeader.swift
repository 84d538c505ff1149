internal import CheckpointFormat

/// The header of a numpy file (numpy.lib.format, versions 1 to 3): a Python dictionary of `descr`,
/// `fortran_order` and `shape`.
struct NumpyHeader {
    static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
    /// Number of bytes that contain the length of the header, in every version.
    static let prefixBytes = 12

    let type: ElementType
    /// What was assumed about an element type that numpy itself does not have; nil for its own
    /// types.
    let note: String?
    let shape: [Int]
    let isFortranOrder: Bool
    /// Number of bytes before the first element.
    let dataOffset: Int

    /// Returns the offsets of the dictionary and of the elements.
    ///
    /// - Parameter prefix: the first 12 bytes of the file.
    /// - Returns: offset of the dictionary and of the first element, in bytes.
    /// - Throws: `FormatError` if it is not a numpy file, or has an unknown version or too large a
    ///   header.
    static func dataOffset(_ prefix: ArraySlice<UInt8>) throws(FormatError) -> (
        text: Int, data: Int
    ) {
        var reader = ByteReader(prefix)
        guard try reader.take(6).elementsEqual(magic) else {
            throw .damage(at: 0, "it is not a .npy file")
        }
        let version = (try reader.take(2)).first ?? 0
        guard (1...3).contains(version) else {
            throw .unsupported(
                at: 6, "version \(version) of the .npy format; ckpt reads versions 1 to 3")
        }
        let isShort = version == 1
        let count =
            isShort ? Int(try reader.integer(UInt16.self)) : Int(try reader.integer(UInt32.self))
        guard count <= ExchangeLimits.numpyHeaderBytesMax else {
            throw .unsupported(
                at: 8,
                "the header has \(count) bytes, more than \(ExchangeLimits.numpyHeaderBytesMax)")
        }
        let text = isShort ? 10 : 12
        return (text, text + count)
    }

    /// Parses the header.
    ///
    /// - Parameters:
    ///   - text: the dictionary.
    ///   - dataOffset: offset of the first element in the file, in bytes.
    ///   - voidType: type of elements whose type the file does not state; nil if it is unknown.
    /// - Throws: `FormatError` if the dictionary is damaged, or the type or shape is not supported.
    init(_ text: ArraySlice<UInt8>, dataOffset: Int, voidType: ElementType?) throws(FormatError) {
        var parser = PythonLiteral(text)
        var found: [String: PythonLiteral.Value] = [:]
        for (key, value) in try parser.dictionary()
        where found.updateValue(value, forKey: key) != nil {
            throw .damage(at: 0, "the header has the key \(quoted(key)) twice")
        }
        guard case .string(let description)? = found["descr"],
            case .bool(let isFortran)? = found["fortran_order"],
            case .tuple(let extents)? = found["shape"], found.count == 3
        else {
            let shown = quoted(String(decoding: text, as: UTF8.self))
            throw .unsupported(
                at: 0, "the header must have descr, fortran_order and shape only: \(shown)")
        }
        let element = try NumpyType.of(description, voidType: voidType)
        (type, note) = (element.type, element.note)
        shape = extents
        isFortranOrder = isFortran
        self.dataOffset = dataOffset
        try checkShape(shape, type, "header")
    }

    var bytes: Int { TensorShape.byteCount(shape, type) ?? 0 }

    /// Distances between neighbours, in elements.
    var strides: [Int] {
        isFortranOrder
            ? TensorShape.rowMajorStrides(shape.reversed()).reversed()
            : TensorShape.rowMajorStrides(shape)
    }
}
