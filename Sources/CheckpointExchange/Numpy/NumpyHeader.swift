internal import CheckpointFormat

/// The header of a numpy file (numpy.lib.format, versions 1 to 3): a Python dictionary of `descr`,
/// `fortran_order` and `shape`.
struct NumpyHeader {
    static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
    /// Number of bytes that contain the length of the header, in every version.
    static let prefixBytes = 12

    let type: ElementType
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
    static func dataOffset(_ prefix: ArraySlice<UInt8>) throws(FormatError) -> (text: Int, data: Int) {
        var reader = ByteReader(prefix)
        guard try reader.take(6).elementsEqual(magic) else { throw .damage(at: 0, "it is no numpy file") }
        let version = (try reader.take(2)).first ?? 0
        guard (1...3).contains(version) else { throw .unsupported(at: 6, "numpy format version \(version)") }
        let isShort = version == 1
        let count = isShort ? Int(try reader.integer(UInt16.self)) : Int(try reader.integer(UInt32.self))
        guard count <= ExchangeLimits.numpyHeaderBytesMax else { throw .unsupported(at: 8, "a header of \(count) bytes") }
        let text = isShort ? 10 : 12
        return (text, text + count)
    }

    /// Parses the header.
    ///
    /// - Parameters:
    ///   - text: the dictionary.
    ///   - dataOffset: offset of the first element in the file, in bytes.
    /// - Throws: `FormatError` if the dictionary is damaged, or the type or shape is not supported.
    init(_ text: ArraySlice<UInt8>, dataOffset: Int) throws(FormatError) {
        var parser = PythonLiteral(text)
        var found: [String: PythonLiteral.Value] = [:]
        for (key, value) in try parser.dictionary() where found.updateValue(value, forKey: key) != nil {
            throw .damage(at: 0, "the header says \(quoted(key)) twice")
        }
        guard case .string(let description)? = found["descr"], case .bool(let isFortran)? = found["fortran_order"],
            case .tuple(let extents)? = found["shape"], found.count == 3
        else {
            let shown = quoted(String(decoding: text, as: UTF8.self))
            throw .unsupported(at: 0, "the header is not of descr, fortran_order and shape alone: \(shown)")
        }
        type = try Self.type(description)
        shape = extents
        isFortranOrder = isFortran
        self.dataOffset = dataOffset
        try checkShape(shape, type, "header")
    }

    var bytes: Int { TensorShape.byteCount(shape, type) ?? 0 }

    /// Distances between neighbours, in elements.
    var strides: [Int] {
        isFortranOrder ? TensorShape.rowMajorStrides(shape.reversed()).reversed() : TensorShape.rowMajorStrides(shape)
    }

    private static func type(_ description: String) throws(FormatError) -> ElementType {
        let types: [String: ElementType] = [
            "f8": .f64, "f4": .f32, "f2": .f16, "i8": .i64, "i4": .i32, "i2": .i16, "i1": .i8, "u8": .u64, "u4": .u32, "u2": .u16,
            "u1": .u8, "b1": .bool,
        ]
        guard let type = types[String(description.dropFirst())], "<>|=".contains(description.prefix(1)) else {
            throw .unsupported(at: 0, "element type \(quoted(description)) is not known here")
        }
        guard !description.hasPrefix(">") || type.width == 1 else {
            throw .unsupported(at: 0, "its elements are big-endian (\(description)); save them with .astype('<\(description.dropFirst())')")
        }
        return type
    }
}

/// Parser of the small part of Python's notation that numpy headers use.
struct PythonLiteral {
    enum Value: Equatable {
        case string(String)
        case bool(Bool)
        case tuple([Int])
    }

    private let text: ArraySlice<UInt8>
    private var position: Int

    init(_ text: ArraySlice<UInt8>) {
        self.text = text
        position = text.startIndex
    }

    private func error(_ message: String) -> FormatError { .damage(at: position - text.startIndex, "header: \(message)") }

    private mutating func skipSpace() {
        while position < text.endIndex, [0x20, 0x0A, 0x09, 0x0D].contains(text[position]) { position += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard position < text.endIndex, text[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(FormatError) {
        guard take(character) else { throw error("\(character) was expected") }
    }

    /// Parses all of the text as `{'key': value, ...}`.
    ///
    /// - Returns: keys and values, in order.
    /// - Throws: `FormatError` if the text is not such a dictionary.
    mutating func dictionary() throws(FormatError) -> [(String, Value)] {
        var members: [(String, Value)] = []
        try expect("{")
        while !take("}") {
            let key = try string()
            try expect(":")
            members.append((key, try value()))
            if !take(",") {
                try expect("}")
                break
            }
        }
        skipSpace()
        guard position == text.endIndex else { throw error("text after the dictionary") }
        return members
    }

    private mutating func value() throws(FormatError) -> Value {
        skipSpace()
        guard position < text.endIndex else { throw error("a value was expected") }
        switch text[position] {
        case UInt8(ascii: "'"), UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "("): return .tuple(try tuple())
        case UInt8(ascii: "["): throw .unsupported(at: position - text.startIndex, "a structured dtype, or another list")
        default:
            for (word, value) in [("True", true), ("False", false)] where text[position...].starts(with: word.utf8) {
                position += word.utf8.count
                return .bool(value)
            }
            throw error("a string, a tuple or a truth value was expected")
        }
    }

    private mutating func string() throws(FormatError) -> String {
        let isSingle = take("'")
        let quote: Unicode.Scalar = isSingle ? "'" : "\""
        if !isSingle { try expect("\"") }
        let start = position
        while position < text.endIndex, text[position] != UInt8(ascii: quote), text[position] != UInt8(ascii: "\\") { position += 1 }
        let end = position
        try expect(quote)
        guard let string = String(validating: text[start..<end], as: UTF8.self) else { throw error("a string is not UTF-8") }
        return string
    }

    private mutating func tuple() throws(FormatError) -> [Int] {
        var numbers: [Int] = []
        try expect("(")
        while !take(")") {
            skipSpace()
            let digits = text[position...].prefix { (0x30...0x39).contains($0) }
            guard let number = Int(String(decoding: digits, as: UTF8.self)) else { throw error("a dimension was expected") }
            position += digits.count
            numbers.append(number)
            // Python 2 marked long integers with an L.
            _ = take("L")
            if !take(",") {
                try expect(")")
                break
            }
        }
        return numbers
    }
}
