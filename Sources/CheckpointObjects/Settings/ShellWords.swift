/// Splits a command line into words as a POSIX shell does, without running a shell: nothing is
/// expanded. This is what Python's `shlex.split` does, which the AWS tools use.
enum ShellWords {
    /// Splits text into words.
    ///
    /// - Parameter text: the command line.
    /// - Returns: the words; nil if a quote is not closed, or if a backslash is the last character.
    static func split(_ text: String) -> [String]? {
        var words: [String] = []
        var word: String?
        var rest = text.unicodeScalars.makeIterator()
        while let scalar = rest.next() {
            switch scalar {
            case " ", "\t", "\r", "\n":
                if let done = word { words.append(done) }
                word = nil
            case "'":
                word = word ?? ""
                while true {
                    guard let next = rest.next() else { return nil }
                    guard next != "'" else { break }
                    word?.unicodeScalars.append(next)
                }
            case "\"":
                guard let quoted = quoted(&rest) else { return nil }
                word = (word ?? "") + quoted
            case "\\":
                guard let next = rest.next() else { return nil }
                word = (word ?? "") + String(next)
            default:
                word = word ?? ""
                word?.unicodeScalars.append(scalar)
            }
        }
        if let word { words.append(word) }
        return words
    }

    /// Reads the rest of a word in double quotes, in which a backslash protects quotes and itself.
    private static func quoted(_ rest: inout String.UnicodeScalarView.Iterator) -> String? {
        var text = String.UnicodeScalarView()
        while let scalar = rest.next() {
            switch scalar {
            case "\"":
                return String(text)
            case "\\":
                guard let next = rest.next() else { return nil }
                if next != "\"" && next != "\\" { text.append(scalar) }
                text.append(next)
            default:
                text.append(scalar)
            }
        }
        return nil
    }
}
