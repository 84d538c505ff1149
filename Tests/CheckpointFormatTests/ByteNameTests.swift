import CheckpointFormat
import Testing

@Suite("Names as bytes", .timeLimit(.minutes(20)))
struct ByteNameTests {
    /// One accented letter, as one scalar and as two.
    private let composed = "caf\u{E9}"
    private let decomposed = "cafe\u{301}"

    @Test("Two spellings of an accented letter are two names")
    func spellings() {
        #expect(composed == decomposed)
        #expect(ByteName(composed) != ByteName(decomposed))
        #expect(ByteName(composed) == ByteName(Substring(composed)))
        #expect(Set([composed, decomposed, composed].map { ByteName($0) }).count == 2)
        #expect(!composed.isSameName(as: decomposed))
        #expect(composed.isSameName(as: "caf\u{E9}"))
    }

    @Test("A name describes itself in the bytes that it was made of")
    func description() {
        for name in ["", "a.b", composed, decomposed, "\u{1F600}"] {
            #expect(ByteName(name).description.utf8.elementsEqual(name.utf8))
        }
    }

    @Test("Names sort by their bytes, and not as Swift sorts strings")
    func order() {
        // Ascending: a part of a name before the name, and capital letters before small ones.
        let names = ["", "B", "a", "a.b", decomposed, "caff", composed, "\u{FF5E}", "\u{1F600}"]
        #expect(names.reversed().map { ByteName($0) }.sorted().map(\.description) == names)
        for (first, second) in zip(names, names.dropFirst()) {
            #expect(first.precedesName(second))
            #expect(!second.precedesName(first))
            #expect(ByteName(first) < ByteName(second))
        }
        #expect(!composed.precedesName(composed))
    }
}
