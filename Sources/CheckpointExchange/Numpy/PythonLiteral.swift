internal import CheckpointFormat

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

    private func error(_ message: String) -> FormatError {
        .damage(at: position - text.startIndex, "header: \(message)")
    }

    private mutating func skipSpace() {
        while position < text.endIndex, [0x20, 0x0A, 0x09, 0x0D].contains(text[position]) {
            position += 1
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard position < text.endIndex, text[position] == UInt8(ascii: character) else {
            return false
        }
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
        guard position == text.endIndex else { throw error("there is text after the dictionary") }
        return members
    }

    private mutating func value() throws(FormatError) -> Value {
        skipSpace()
        guard position < text.endIndex else { throw error("a value was expected") }
        switch text[position] {
        case UInt8(ascii: "'"), UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "("): return .tuple(try tuple())
        case UInt8(ascii: "["):
            throw .unsupported(
                at: position - text.startIndex,
                "the header has a structured dtype or another list")
        default:
            for (word, value) in [("True", true), ("False", false)]
            where text[position...].starts(with: word.utf8) {
                position += word.utf8.count
                return .bool(value)
            }
            throw error("a string, a tuple, True or False was expected")
        }
    }

    private mutating func string() throws(FormatError) -> String {
        let isSingle = take("'")
        let quote: Unicode.Scalar = isSingle ? "'" : "\""
        if !isSingle { try expect("\"") }
        let start = position
        while position < text.endIndex, text[position] != UInt8(ascii: quote),
            text[position] != UInt8(ascii: "\\")
        { position += 1 }
        let end = position
        try expect(quote)
        guard let string = String(validating: text[start..<end], as: UTF8.self) else {
            throw error("a string is not UTF-8")
        }
        return string
    }

    private mutating func tuple() throws(FormatError) -> [Int] {
        var numbers: [Int] = []
        try expect("(")
        while !take(")") {
            skipSpace()
            let digits = text[position...].prefix { (0x30...0x39).contains($0) }
            guard let number = Int(String(decoding: digits, as: UTF8.self)) else {
                throw error("a dimension was expected")
            }
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
