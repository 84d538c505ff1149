/// An element of the XML of an object store: elements within it, and its text.
///
/// Reads what such stores send: no document types, no entities but the five of XML and characters
/// by number, no deep nesting. Foundation's parser is not used, since a program that is linked
/// statically would need libxml2.
package struct XMLElement: Equatable, Sendable {
    package var name: String
    package var text = ""
    package var children: [XMLElement] = []

    /// Maximum depth of nested elements.
    private static let depthMax = 16
    /// Maximum number of elements in a document. A page of a listing has 1,000 keys of about ten
    /// elements.
    private static let elementsMax = 100_000

    /// Creates an element without children.
    package init(name: String) { self.name = name }

    /// Reads a document.
    ///
    /// - Parameter bytes: the document, in UTF-8.
    /// - Returns: the outermost element; nil if the document is not well-formed or over the limits.
    package init?(decoding bytes: [UInt8]) {
        var reader = Reader(bytes: bytes[...])
        guard let root = reader.document() else { return nil }
        self = root
    }

    /// Returns the first element of this name within this one.
    package func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }

    /// Returns the text of the first element of this name within this one.
    package subscript(_ name: String) -> String? { child(name)?.text }

    private struct Reader {
        var bytes: ArraySlice<UInt8>
        var count = 0

        mutating func document() -> XMLElement? {
            skipProlog()
            guard let root = element(depth: 0) else { return nil }
            skipProlog()
            return bytes.isEmpty ? root : nil
        }

        /// Skips spaces, comments and processing instructions.
        private mutating func skipProlog() {
            while true {
                bytes = bytes.drop { $0 <= 0x20 }
                if take("<?") {
                    guard skip(past: "?>") else { return }
                } else if take("<!--") {
                    guard skip(past: "-->") else { return }
                } else if bytes.starts(with: [0xef, 0xbb, 0xbf]) {
                    bytes = bytes.dropFirst(3)
                } else {
                    return
                }
            }
        }

        private mutating func take(_ text: StaticString) -> Bool {
            let wanted = Array("\(text)".utf8)
            guard bytes.starts(with: wanted) else { return false }
            bytes = bytes.dropFirst(wanted.count)
            return true
        }

        private mutating func skip(past text: StaticString) -> Bool {
            while !bytes.isEmpty {
                if take(text) { return true }
                bytes = bytes.dropFirst()
            }
            return false
        }

        private mutating func element(depth: Int) -> XMLElement? {
            count += 1
            guard depth < XMLElement.depthMax, count <= XMLElement.elementsMax, take("<"),
                let name = name()
            else { return nil }
            var element = XMLElement(name: name)
            guard skipAttributes() else { return nil }
            if take("/>") { return element }
            guard take(">") else { return nil }
            var text: [UInt8] = []
            while let byte = bytes.first {
                guard byte == UInt8(ascii: "<") || byte == UInt8(ascii: "&") else {
                    let end =
                        bytes.firstIndex { $0 == UInt8(ascii: "<") || $0 == UInt8(ascii: "&") }
                        ?? bytes.endIndex
                    text += bytes[..<end]
                    bytes = bytes[end...]
                    continue
                }
                if take("&") {
                    guard let character = entity() else { return nil }
                    text += character
                } else if take("</") {
                    guard self.name() == name else { return nil }
                    bytes = bytes.drop { $0 <= 0x20 }
                    guard take(">") else { return nil }
                    element.text = String(decoding: text, as: UTF8.self)
                    return element
                } else if take("<!--") {
                    guard skip(past: "-->") else { return nil }
                } else if take("<![CDATA[") {
                    while !take("]]>") {
                        guard let byte = bytes.popFirst() else { return nil }
                        text.append(byte)
                    }
                } else {
                    guard let child = self.element(depth: depth + 1) else { return nil }
                    element.children.append(child)
                }
            }
            return nil
        }

        /// Reads a name, without the prefix of its namespace.
        private mutating func name() -> String? {
            let end = bytes.firstIndex { byte in
                byte <= 0x20 || byte == UInt8(ascii: ">") || byte == UInt8(ascii: "/")
                    || byte == UInt8(ascii: "<") || byte == UInt8(ascii: "=")
            }
            // Not the `!` of a document type.
            guard let end, end > bytes.startIndex, end - bytes.startIndex <= 256,
                bytes.first != UInt8(ascii: "!")
            else { return nil }
            let name = String(decoding: bytes[..<end], as: UTF8.self)
            bytes = bytes[end...]
            return name.split(separator: ":").last.map(String.init)
        }

        private mutating func skipAttributes() -> Bool {
            while true {
                bytes = bytes.drop { $0 <= 0x20 }
                guard let byte = bytes.first else { return false }
                if byte == UInt8(ascii: ">") || byte == UInt8(ascii: "/") { return true }
                guard name() != nil else { return false }
                bytes = bytes.drop { $0 <= 0x20 }
                guard take("=") else { return false }
                bytes = bytes.drop { $0 <= 0x20 }
                guard let quote = bytes.popFirst(),
                    quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'"),
                    let end = bytes.firstIndex(of: quote)
                else { return false }
                bytes = bytes[(end + 1)...]
            }
        }

        /// Reads the rest of an entity after its `&`.
        private mutating func entity() -> [UInt8]? {
            guard let end = bytes.prefix(12).firstIndex(of: UInt8(ascii: ";")),
                !bytes[..<end].contains(UInt8(ascii: "+"))
            else { return nil }
            let name = String(decoding: bytes[..<end], as: UTF8.self)
            bytes = bytes[(end + 1)...]
            switch name {
            case "lt": return [UInt8(ascii: "<")]
            case "gt": return [UInt8(ascii: ">")]
            case "amp": return [UInt8(ascii: "&")]
            case "quot": return [UInt8(ascii: "\"")]
            case "apos": return [UInt8(ascii: "'")]
            default:
                let digits = name.dropFirst(2)
                let number =
                    name.hasPrefix("#x") || name.hasPrefix("#X")
                    ? UInt32(digits, radix: 16)
                    : name.hasPrefix("#") ? UInt32(name.dropFirst()) : nil
                guard let scalar = number.flatMap(Unicode.Scalar.init) else { return nil }
                return Array(String(scalar).utf8)
            }
        }
    }
}
