import CheckpointCatalog
import CheckpointFormat
import CheckpointIO
internal import CheckpointSegments
import CheckpointTestSupport
import Testing

@Suite("Tables of names and numbers", .timeLimit(.minutes(20)))
struct ClosedTableTests {
    @Test("limits.md is the table in the code")
    func limits() throws {
        let table = try SpecificationTable("Limits", in: "limits.md")
        #expect(try table.column("Name") == Limits.table.map(\.name))
        #expect(try table.numbers("Value") == Limits.table.map(\.value))
    }

    @Test("Element types: names, codes, widths")
    func elementTypes() throws {
        let table = try SpecificationTable("ElementType", in: "manifest.md")
        #expect(try table.column("Name") == ElementType.allCases.map(\.rawValue))
        #expect(try table.numbers("Code") == ElementType.allCases.map { Int($0.code) })
        #expect(try table.numbers("Width") == ElementType.allCases.map(\.width))
    }

    @Test("Codecs: numbers, names")
    func codecs() throws {
        let table = try SpecificationTable("Codec", in: "codecs.md")
        #expect(try table.numbers("Number") == CodecIdentifier.allCases.map { Int($0.rawValue) })
        #expect(try table.column("Name") == CodecIdentifier.allCases.map(\.name))
    }

    @Test("Required features: bits, names")
    func features() throws {
        let table = try SpecificationTable("RequiredFeature", in: "versioning.md")
        #expect(try table.numbers("Bit") == RequiredFeature.allCases.map { Int($0.rawValue) })
        #expect(try table.column("Name") == RequiredFeature.allCases.map(\.name))
    }

    @Test("The roles that manifest.md lists are those of the code")
    func roles() throws {
        let specification = try text(of: "manifest.md")
        let tensor = TensorRole.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", ")
        #expect(specification.contains("| `role` | string | \(tensor); unknown values"))
        let object = ObjectRole.allCases.map { "`\($0.rawValue)`" }
        let words = specification.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
        #expect(words.contains("`role` is one of \(object.joined(separator: ", ")); unknown values"))
        let encodings = try #require(words.firstRange(of: "`encoding` is `json` (UTF-8 JSON) or `bytes`"))
        #expect(!encodings.isEmpty && ObjectEncoding.allCases.map(\.rawValue) == ["json", "bytes"])
    }

    @Test("The catalog's tables are those of schema.sql")
    func catalog() throws {
        let store = try TemporaryStore()
        let made = try Catalog(path: store.directories.catalog, access: .writing).schema().map(normalised)
        let specified = try text(of: "catalog/schema.sql").split(separator: "\n", omittingEmptySubsequences: false)
            .map { line in line.firstRange(of: "--").map { line[..<$0.lowerBound] } ?? line }
            .joined(separator: "\n").split(separator: ";").map { normalised(String($0)) }.filter { !$0.isEmpty }
        #expect(specified.count > 5)
        #expect(made.sorted() == specified.sorted())
    }

    /// One space between words, none beside brackets and commas.
    private func normalised(_ statement: String) -> String {
        var text = statement.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for mark in ["(", ")", ","] {
            text = text.replacing(" \(mark)", with: mark).replacing("\(mark) ", with: mark)
        }
        return text
    }
}
