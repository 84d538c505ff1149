/// One import of a file.
struct Import: Equatable {
    /// The name of the module.
    let module: String
    /// The line, from 1.
    let line: Int

    /// Every import in the code of a file.
    static func all(in lines: Lines) -> [Import] {
        lines.code.indices.compactMap { index in
            module(lines.code[index]).map { Import(module: $0, line: index + 1) }
        }
    }

    /// The module that a line of code imports, if it does.
    private static func module(_ code: String) -> String? {
        let modifiers: Set<String> = [
            "public", "package", "internal", "fileprivate", "private", "testable", "preconcurrency",
            "exported", "_exported",
            "implementationOnly", "_implementationOnly", "_spi", "spi", "unsafe",
        ]
        let kinds: Set<String> = [
            "struct", "class", "enum", "protocol", "typealias", "func", "let", "var", "macro",
        ]
        let all = words(code)
        guard
            let at = all.firstIndex(where: {
                $0.text == "import" && $0.before != "." && $0.before != "`"
            })
        else { return nil }
        let isAttributed = code.contains("@")  // the arguments of an attribute may be any word
        guard isAttributed || all[..<at].allSatisfy({ modifiers.contains($0.text) }) else {
            return nil
        }
        var next = at + 1
        if next < all.count, kinds.contains(all[next].text) {
            next += 1
        }
        return next < all.count ? all[next].text : nil
    }
}
