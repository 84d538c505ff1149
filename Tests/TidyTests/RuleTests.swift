import Testing
@testable import TidyRules

/// The lines that a rule complains of.
private func found(_ rule: Rule, _ path: String, _ text: String) -> [Int] {
    rule(path, Lines(text)).map(\.line)
}

@Suite("Layers", .timeLimit(.minutes(20)))
struct LayerTests {
    @Test("What a layer may not import is named, with the reason")
    func forbiddenImport() {
        let found = LayerRules.imports("Sources/CheckpointIO/File.swift", Lines("import SystemPackage\nimport CheckpointFormat\n"))
        #expect(found.count == 1)
        #expect(found.first?.line == 2)
        #expect(found.first?.message.contains("layer rule: CheckpointIO may not import CheckpointFormat") == true)
        #expect(found.first?.message.contains("must not know what they mean") == true)
    }

    @Test("Every spelling of an import is read", arguments: [
        "import Foundation", "public import Foundation", "@_exported import Foundation", "@preconcurrency import Foundation",
        "internal import struct Foundation.Data", "    import Foundation.NSData", "@_spi(Some) import Foundation",
    ])
    func spellings(line: String) {
        #expect(found(LayerRules.imports, "Sources/CheckpointFormat/A.swift", line) == [1])
    }

    @Test("What is no import is not taken for one", arguments: [
        "// import Foundation", "let text = \"import Foundation\"", "var x = y.import", "let a = `import`",
    ])
    func others(line: String) {
        #expect(found(LayerRules.imports, "Sources/CheckpointFormat/A.swift", line) == [])
    }

    @Test("Each row of the table lets through what it lists")
    func table() {
        for layer in layers {
            let text = layer.imports.sorted().map { "import \($0)\n" }.joined()
            #expect(found(LayerRules.imports, "Sources/\(layer.target)/A.swift", text) == [], "\(layer.target)")
            #expect(found(LayerRules.imports, "Sources/\(layer.target)/A.swift", "import XCTest\n") == [1], "\(layer.target)")
        }
    }

    @Test("A target without a row is a violation; tests and tools are not judged")
    func unknownTarget() {
        #expect(found(LayerRules.imports, "Sources/Newcomer/A.swift", "") == [1])
        #expect(found(LayerRules.imports, "Tests/FormatTests/A.swift", "import Foundation") == [])
    }
}

@Suite("Code", .timeLimit(.minutes(20)))
struct CodeTests {
    @Test("Unsafe code is found where there shall be none", arguments: [
        "let p: UnsafeRawPointer", "unsafe f()", "a.withUnsafeBytes { _ in }", "unsafeBitCast(a, to: B.self)",
        "nonisolated(unsafe) var a = 1", "\"\\(unsafe f())\"",
    ])
    func unsafeCode(line: String) {
        for path in ["Sources/CheckpointFormat/A.swift", "Sources/Checkpointing/A.swift", "Tools/ckpt/A.swift", "Examples/E/A.swift"] {
            #expect(found(checkUnsafe, path, line) == [1], "\(path)")
        }
        for path in ["Sources/CheckpointIO/A.swift", "Examples/ReferenceTrainer/Model/A.swift", "Tools/ckpt/Terminal.swift"] {
            #expect(found(checkUnsafe, path, line) == [], "\(path)")
        }
    }

    @Test("Neither comments nor strings are code", arguments: [
        "// unsafe try! x", "/* unsafe /* as! */ fatalError( */", "let s = \"unsafe try! print(\"", "let s = #\"a \" print(\"#",
        "let s = \"\"\"\n unsafe \" print( try!\n \"\"\"", "let s = \"\\\" unsafe try! \"", "let s = #\"\\(print(1))\"#",
    ])
    func commentsAndStrings(text: String) {
        #expect(found(checkUnsafe, "Sources/Checkpointing/A.swift", text) == [])
        #expect(found(checkForbiddenCalls, "Sources/Checkpointing/A.swift", text) == [])
    }

    @Test("Calls that end the process or print are found", arguments: [
        "try! f()", "a as! B", "fatalError(\"x\")", "print(1)", "\"\\(try! f())\"", "\"a\" + \"\" as! B", "/* a */ print(1)",
        "let s = \"\"\"\n text\n \"\"\"; print(s)",
    ])
    func forbiddenCalls(text: String) {
        #expect(checkForbiddenCalls("Sources/CheckpointIO/A.swift", Lines(text)).count == 1)
        #expect(found(checkForbiddenCalls, "Tools/ckpt/A.swift", text) == [])
    }

    @Test("Names that only contain such a word are not found", arguments: [
        "blueprint(1)", "printer(1)", "entry != nil", "logger.print(1)", "a as? B", "try f()", "let fatalErrorCount = 1",
    ])
    func similarNames(line: String) {
        #expect(found(checkForbiddenCalls, "Sources/CheckpointIO/A.swift", line) == [])
    }

    @Test("An error is dropped only with a comment")
    func silentTry() {
        let path = "Sources/CheckpointIO/A.swift"
        #expect(found(checkSilentTry, path, "let a = try? f()") == [1])
        #expect(found(checkSilentTry, path, "let a = try? f()  // absent is fine") == [])
        #expect(found(checkSilentTry, path, "// absent is fine\nlet a = try? f()") == [])
        #expect(found(checkSilentTry, path, "// far away\n\nlet a = try? f()") == [3])
        #expect(found(checkSilentTry, path, "let a = \"// no\"; try? f()") == [1])
    }

    @Test("A comparison of names that is written out is found", arguments: [
        "a.name.utf8.elementsEqual(b.name.utf8)", "a.utf8.lexicographicallyPrecedes(b.utf8)",
        "seen.insert(Array($0.name.utf8))", "files[Array(f(x), Array(fileName.utf8))]",
        "let key = [UInt8](name.utf8)",
    ])
    func nameComparisons(line: String) {
        #expect(found(checkNameComparisons, "Sources/CheckpointIO/A.swift", line) == [1])
        #expect(found(checkNameComparisons, "Tools/ckpt/A.swift", line) == [])
        #expect(found(checkNameComparisons, "Sources/CheckpointFormat/ByteName.swift", line) == [])
    }

    @Test("Other uses of bytes are no comparison of names", arguments: [
        "Array(text.utf8)", "Array(namespace.utf8)", "bytes += name.utf8", "Array(a) + f(name.utf8)",
        "bytes.elementsEqual(other)", "name.utf8.count", "// a.utf8.elementsEqual(b.utf8)",
    ])
    func otherBytes(line: String) {
        #expect(found(checkNameComparisons, "Sources/CheckpointIO/A.swift", line) == [])
    }

    @Test("A public declaration without documentation is found", arguments: [
        "public struct A {}", "    public var a: Int", "public static func == (a: A, b: A) -> Bool", "@frozen public enum E {}",
        "public private(set) var a = 1", "nonisolated public func f()", "// plain\npublic let a = 1", "/// far\n\npublic let a = 1",
        "@available(macOS 14, *) public func f()", "public init() {}",
    ])
    func undocumented(text: String) {
        #expect(checkDocumentation("Sources/CheckpointIO/A.swift", Lines(text)).count == 1)
    }

    @Test("Documentation may stand before attributes; imports, extensions and private code need none", arguments: [
        "/// A.\npublic struct A {}", "/// A.\n@frozen\n@available(macOS 14, *)\npublic struct A {}", "/** A. */\npublic struct A {}",
        "public import Foundation", "public extension A {}", "struct A {}", "let a = \"\"\"\n  public struct\n  \"\"\"",
        "open(path)", "x.public()",
        "private func f(public: Int)",
    ])
    func documented(text: String) {
        #expect(found(checkDocumentation, "Sources/CheckpointIO/A.swift", text) == [])
    }
}

@Suite("Lengths", .timeLimit(.minutes(20)))
struct LengthTests {
    @Test("Files: 400 lines are allowed, 401 are not, Package.swift may be longer")
    func files() {
        let text = String(repeating: "a\n", count: 400)
        #expect(found(checkFileLength, "Sources/A/A.swift", text) == [])
        #expect(found(checkFileLength, "Sources/A/A.swift", text + "a") == [401])
        #expect(found(checkFileLength, "Package.swift", text + "a") == [])
    }

    @Test("Lines: 140 columns are allowed, 141 are not")
    func lines() {
        let line = String(repeating: "é", count: 140)
        #expect(found(checkLineLength, "Tests/A.swift", line) == [])
        #expect(found(checkLineLength, "Tests/A.swift", "\n" + line + "x") == [2])
    }

    @Test("Lines of Sources: 100 columns are good, the ratchet counts 101")
    func wideLines() {
        let line = String(repeating: "x", count: 100)
        #expect(found(checkWideLines, "Sources/A/A.swift", line) == [])
        #expect(found(checkWideLines, "Sources/A/A.swift", "\n" + line + "x") == [2])
        #expect(found(checkWideLines, "Tests/A.swift", line + "x") == [])
    }

    @Test("Functions: 70 lines are allowed, 71 are not; braces in strings do not count")
    func functions() {
        func text(_ head: String, _ body: Int) -> String {
            "protocol P { func r() throws -> Int }\n\(head) {\n" + String(repeating: "  if a { b(\"}\") } // }\n", count: body) + "}\n"
        }
        for head in ["func f(a: () -> Void = { }) async throws -> [Int]", "init?(a: Int)", "deinit", "static func == (a: A, b: A)"] {
            #expect(found(checkFunctionLength, "Sources/A/A.swift", text(head, 68)) == [], "\(head)")
            #expect(found(checkFunctionLength, "Sources/A/A.swift", text(head, 69)) == [2], "\(head)")
        }
        #expect(found(checkFunctionLength, "Sources/A/A.swift", text("struct S", 69)) == [])
    }
}

@Suite("Text", .timeLimit(.minutes(20)))
struct TextTests {
    @Test("Leftovers are found, in comments too", arguments: ["// TODO: later", "FIXME", "a XXX b"])
    func leftovers(line: String) {
        #expect(found(checkLeftovers, "Formats/README.md", line) == [1])
        #expect(found(checkLeftovers, "Sources/CLZ4/lz4.c", line) == [])
        #expect(found(checkLeftovers, "Formats/README.md", "TODOS XXXXXX fixme") == [])
    }

    @Test("Paths of one machine are found")
    func machinePaths() {
        #expect(found(checkMachinePaths, "README.md", "see /Users/me") == [1])
        #expect(found(checkMachinePaths, "README.md", "\"/home/me/x\"") == [1])
        #expect(found(checkMachinePaths, "README.md", "https://example.org/home/x and a/Users/b and ~/root/c") == [])
        #expect(found(checkMachinePaths, "README.md", "a/root/b, then /root/x") == [1])
    }

    @Test("A test file expects something")
    func expectations() {
        let path = "Tests/ATests/ATests.swift"
        #expect(found(checkExpectations, path, "@Test func a() {}\n") == [1])
        #expect(found(checkExpectations, path, "@Test func a() {} // #expect\n") == [1])
        #expect(found(checkExpectations, "Tests/ATests/Support.swift", "func help() {}\n") == [])
        for line in ["#expect(a)", "try #require(a)", "Issue.record(\"a\")", "XCTAssertEqual(a, b)"] {
            #expect(found(checkExpectations, path, "@Test func a() { \(line) }\n") == [])
        }
    }

    @Test("A violation is printed as path:line: rule: message, and all rules run together")
    func all() {
        let found = checkAll(path: "Sources/CheckpointFormat/A.swift", text: "import Glibc\nlet a = b as! C // TODO\n")
        #expect(found.map(\.rule) == ["import", "forbidden", "leftover"])
        #expect(found[1].description.hasPrefix("Sources/CheckpointFormat/A.swift:2: forbidden: as!: "))
    }
}
