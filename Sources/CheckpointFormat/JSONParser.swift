/// A strict JSON parser (RFC 8259). It refuses everything that the format forbids: duplicate keys,
/// deep nesting, integers outside Int64, invalid UTF-8, and text after the value. Errors name the
/// offset in the file.
package struct JSONParser {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    private let origin: Int
    /// The member of the outermost object whose elements are only found, and where they are.
    private var sparseKey: String?
    private var elements: [Range<Int>] = []

    private init(bytes: ArraySlice<UInt8>, position: Int, origin: Int) {
        (self.bytes, self.position, self.origin) = (bytes, position, origin)
    }

    /// Parses one JSON value.
    ///
    /// - Parameters:
    ///   - bytes: The text, in UTF-8.
    ///   - origin: Offset of the text in the file, for errors.
    /// - Returns: The value.
    /// - Throws: Damage at the first byte that breaks a rule.
    package static func parse(_ bytes: ArraySlice<UInt8>, origin: Int = 0) throws(FormatError) -> JSONValue {
        var parser = JSONParser(bytes: bytes, position: bytes.startIndex, origin: origin)
        return try parser.onlyValue()
    }

    /// Parses an object, but for the elements of one array, which are only found.
    ///
    /// - Parameters:
    ///   - bytes: The text, in UTF-8.
    ///   - origin: Offset of the text in the file, for errors.
    ///   - key: The member whose elements are left out. If it is no array, it is parsed as usual.
    /// - Returns: The object, in which the array is empty, and the ranges of `bytes` that hold the
    ///   elements. Nothing in them is checked but that brackets and strings end.
    /// - Throws: Damage at the first byte that breaks a rule elsewhere.
    package static func parse(
        _ bytes: ArraySlice<UInt8>, origin: Int, withoutElementsOf key: String
    ) throws(FormatError) -> (object: JSONValue, elements: [Range<Int>]) {
        var parser = JSONParser(bytes: bytes, position: bytes.startIndex, origin: origin)
        parser.sparseKey = key
        return (try parser.onlyValue(), parser.elements)
    }

    private mutating func onlyValue() throws(FormatError) -> JSONValue {
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.endIndex else { throw error("there is text after the JSON value") }
        return value
    }

    private func error(_ message: String) -> FormatError {
        .damage(at: origin + position - bytes.startIndex, "JSON: " + message)
    }

    private var current: UInt8? { position < bytes.endIndex ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = current, Self.isSpace(byte) { position += 1 }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }

    private mutating func value(depth: Int) throws(FormatError) -> JSONValue {
        skipSpace()
        guard depth < Limits.jsonDepthMax || current != UInt8(ascii: "{") && current != UInt8(ascii: "[") else {
            throw error("nested more than \(Limits.jsonDepthMax) levels deep")
        }
        switch current {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"): return try number()
        case let byte? where (0x30...0x39).contains(byte): return try number()
        default: throw error("a value was expected")
        }
    }

    private mutating func word(_ text: StaticString, _ value: JSONValue) throws(FormatError) -> JSONValue {
        guard bytes[position...].starts(with: text.description.utf8) else { throw error("a value was expected") }
        position += text.utf8CodeUnitCount
        return value
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        position += 1
        return true
    }

    private mutating func array(depth: Int) throws(FormatError) -> JSONValue {
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(elements) }
            guard take(UInt8(ascii: ",")) else { throw error("',' or ']' was expected") }
        }
    }

    private mutating func object(depth: Int) throws(FormatError) -> JSONValue {
        position += 1
        var members: [JSONValue.Member] = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            members.append(try member(depth: depth))
            skipSpace()
            if take(UInt8(ascii: "}")) { break }
            guard take(UInt8(ascii: ",")) else { throw error("',' or '}' was expected") }
        }
        guard Self.haveDifferentKeys(members) else { throw error("duplicate key in an object") }
        return .object(members)
    }

    /// Returns whether no key occurs twice. The few keys of most objects are compared with each
    /// other, which takes a tenth of the time of a set.
    private static func haveDifferentKeys(_ members: [JSONValue.Member]) -> Bool {
        guard members.count <= 16 else {
            return Set(members.map { ByteName($0.key) }).count == members.count
        }
        for index in members.indices.dropFirst() {
            let key = members[index].key
            if members[..<index].contains(where: { $0.key.isSameName(as: key) }) { return false }
        }
        return true
    }

    private mutating func member(depth: Int) throws(FormatError) -> JSONValue.Member {
        skipSpace()
        guard current == UInt8(ascii: "\"") else { throw error("a key was expected") }
        let key = try string()
        skipSpace()
        guard take(UInt8(ascii: ":")) else { throw error("':' was expected") }
        if depth == 0, key == sparseKey {
            skipSpace()
            if current == UInt8(ascii: "[") {
                elements = try elementRanges()
                return JSONValue.Member(key, .array([]))
            }
        }
        return JSONValue.Member(key, try value(depth: depth + 1))
    }

    /// Finds the elements of the array that begins here, and moves behind it.
    private mutating func elementRanges() throws(FormatError) -> [Range<Int>] {
        position += 1
        var ranges: [Range<Int>] = []
        var (start, depth) = (position, 0)
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""): try skipString()
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: ",") where depth == 0:
                ranges.append(start..<position)
                start = position + 1
            case UInt8(ascii: "]") where depth == 0:
                let isEmpty = ranges.isEmpty && bytes[start..<position].allSatisfy(Self.isSpace)
                if !isEmpty { ranges.append(start..<position) }
                position += 1
                return ranges
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
            position += 1
        }
        throw error("an array does not end")
    }

    /// Moves from the first to the last quotation mark of a string.
    private mutating func skipString() throws(FormatError) {
        position += 1
        while let byte = current, byte != UInt8(ascii: "\"") {
            position += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        guard position < bytes.endIndex else { throw error("a string does not end") }
    }

    private mutating func number() throws(FormatError) -> JSONValue {
        let start = position
        _ = take(UInt8(ascii: "-"))
        let firstDigit = current
        let integerDigits = skipDigits()
        guard integerDigits > 0, integerDigits == 1 || firstDigit != UInt8(ascii: "0") else { throw error("invalid number") }
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            guard skipDigits() > 0 else { throw error("invalid number") }
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            guard skipDigits() > 0 else { throw error("invalid number") }
        }
        if isInteger, let value = Self.integer(bytes[start..<position]) { return .integer(value) }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard !isInteger else { throw error("integer \(text.prefix(24)) is out of range") }
        guard let value = Double(text), value.isFinite else { throw error("number is out of range") }
        return .number(value)
    }

    /// Returns the integer of a text of digits, which a minus may precede; nil if it is too large.
    private static func integer(_ text: ArraySlice<UInt8>) -> Int64? {
        let isNegative = text.first == UInt8(ascii: "-")
        var value: Int64 = 0
        for byte in text.dropFirst(isNegative ? 1 : 0) {
            // Downwards, since there is one negative number more.
            let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let digit = Int64(byte - UInt8(ascii: "0"))
            let (next, isBelow) = tens.subtractingReportingOverflow(digit)
            if isTooLarge || isBelow { return nil }
            value = next
        }
        if isNegative { return value }
        return value == .min ? nil : -value
    }

    private mutating func skipDigits() -> Int {
        let start = position
        while let byte = current, (0x30...0x39).contains(byte) { position += 1 }
        return position - start
    }

    private mutating func string() throws(FormatError) -> String {
        position += 1
        let start = position
        var isASCII = true
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
            isASCII = isASCII && byte < 0x80
            position += 1
        }
        // Nearly all strings have no escapes, so their bytes can be used as they are; and ASCII needs
        // no check.
        if current == UInt8(ascii: "\"") {
            let text = bytes[start..<position]
            position += 1
            return isASCII ? String(decoding: text, as: UTF8.self) : try validated(text)
        }
        var text = Array(bytes[start..<position])
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return try validated(text[...])
            case UInt8(ascii: "\\"): text += Array(String(try escape()).utf8)
            case 0..<0x20: throw error("control character in a string")
            default:
                text.append(byte)
                position += 1
            }
        }
        throw error("a string does not end")
    }

    private func validated(_ text: ArraySlice<UInt8>) throws(FormatError) -> String {
        guard let string = String(validating: text, as: UTF8.self) else { throw error("a string is not UTF-8") }
        return string
    }

    private mutating func escape() throws(FormatError) -> Unicode.Scalar {
        position += 1
        guard let byte = current else { throw error("a string does not end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try unicodeEscape()
        default: throw error("unknown escape")
        }
    }

    private mutating func unicodeEscape() throws(FormatError) -> Unicode.Scalar {
        let unit = try fourDigits()
        if let scalar = Unicode.Scalar(unit) { return scalar }
        guard (0xD800..<0xDC00).contains(unit), take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
            throw error("unpaired surrogate")
        }
        let low = try fourDigits()
        guard (0xDC00..<0xE000).contains(low) else { throw error("unpaired surrogate") }
        let scalar = 0x10000 + (UInt32(unit) - 0xD800) << 10 + (UInt32(low) - 0xDC00)
        guard let result = Unicode.Scalar(scalar) else { throw error("unpaired surrogate") }
        return result
    }

    private func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }

    private mutating func fourDigits() throws(FormatError) -> UInt16 {
        let digits = bytes[position...].prefix(4)
        // `UInt16(_:radix:)` would also accept a sign.
        guard digits.count == 4, digits.allSatisfy(isHexadecimal),
            let value = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw error("four hexadecimal digits were expected") }
        position += 4
        return value
    }
}
