/// A part of a page. Text and attributes are escaped when they are written, so a name from a store can only be text.
indirect enum HTML {
    case text(String)
    case element(String, [(String, String)], [HTML])
    case group([HTML])
    /// Unescaped text of this program: style sheets, and JSON that `embedded` has escaped.
    case own(String)

    static func tag(_ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ children: [HTML] = []) -> HTML {
        .element(name, attributes.map { ($0.key, $0.value) }, children)
    }

    static func tag(_ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ text: String) -> HTML {
        .element(name, attributes.map { ($0.key, $0.value) }, [.text(text)])
    }

    /// Elements of HTML without an end tag.
    private static let void: Set<String> = ["meta", "br"]

    func write(to page: inout String) {
        switch self {
        case .text(let text): page += Self.escaped(text)
        case .own(let text): page += text
        case .group(let children): for child in children { child.write(to: &page) }
        case .element(let name, let attributes, let children):
            page += "<" + name
            for (key, value) in attributes { page += " \(key)=\"\(Self.escaped(value))\"" }
            page += ">"
            for child in children { child.write(to: &page) }
            if !Self.void.contains(name) { page += "</\(name)>" }
        }
    }

    /// The HTML that a browser shows as this text; invisible characters are escaped, as in a terminal.
    static func escaped(_ text: String) -> String {
        var result = ""
        for character in Output.visible(text, lineFeeds: true).unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    /// JSON inside of a `script` element, which ends at the first `</script`, even inside a string.
    static func embedded(_ json: String) -> HTML {
        .own(json.replacing("<", with: "\\u003c").replacing(">", with: "\\u003e").replacing("&", with: "\\u0026"))
    }

    /// A name that fits a label.
    static func short(_ name: String, _ limit: Int = 60) -> String {
        name.count <= limit ? name : name.prefix(limit / 2) + "…" + name.suffix(limit / 2 - 1)
    }
}
