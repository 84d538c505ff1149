@testable import CheckpointObjects
import Testing

@Suite("XML", .timeLimit(.minutes(10)))
struct XMLElementTests {
    private static let listing = """
        <?xml version="1.0" encoding="UTF-8"?>
        <!-- a page -->
        <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/" a='b>c'>
          <Name>bucket</Name><IsTruncated>false</IsTruncated><Empty/><Other x="1" />
          <Contents><Key>a&amp;b&#x41;&#66;&lt;</Key><Size>17</Size></Contents>
          <Contents><Key><![CDATA[<raw> ]] &amp;]]></Key><Size>18</Size></Contents>
        </ListBucketResult>
        """

    private func read(_ text: String) -> XMLElement? { XMLElement(decoding: Array(text.utf8)) }

    @Test("A listing is read with entities, CDATA and attributes")
    func listing() throws {
        let root = try #require(read(Self.listing))
        #expect(root.name == "ListBucketResult")
        #expect(root["Name"] == "bucket")
        #expect(root["Empty"] == "")
        let objects = root.children.filter { $0.name == "Contents" }
        #expect(objects.map { $0["Key"] } == ["a&bAB<", "<raw> ]] &amp;"])
        #expect(objects.map { $0["Size"] } == ["17", "18"])
    }

    @Test("A listing that is cut anywhere is refused")
    func truncations() {
        let bytes = Array(Self.listing.utf8)
        for count in 0..<bytes.count {
            #expect(XMLElement(decoding: Array(bytes[..<count])) == nil)
        }
    }

    @Test("A listing with one changed byte is read or refused, without a trap")
    func changes() {
        let bytes = Array(Self.listing.utf8)
        for index in bytes.indices {
            for value: UInt8 in [0, 0x3c, 0x3e, 0x26, 0x22, 0x2f, 0x3b, 0xff] {
                var changed = bytes
                changed[index] = value
                _ = XMLElement(decoding: changed)
            }
        }
    }

    @Test(
        "Hostile documents are refused",
        arguments: [
            "", " ", "<", "<>", "</a>", "<a", "<a>", "<a></b>", "<a/><b/>", "<a/>x", "x<a/>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "<!DOCTYPE a><a/>",
            "<a>&x;</a>", "<a>&;</a>", "<a>&#;</a>", "<a>&#x;</a>", "<a>&#xD800;</a>",
            "<a>&#x110000;</a>", "<a>&#99999999999999999999;</a>", "<a>&#xFFFFFFFFF;</a>",
            "<a>&#-1;</a>", "<a>&amp</a>", "<a b></a>", "<a b=c></a>", "<a b=\"c></a>",
            "<a><!-- </a>", "<a><![CDATA[</a>", "<?xml <a/>", "<a =\"b\"/>", "<::/>",
            String(repeating: "<a>", count: 17) + String(repeating: "</a>", count: 17),
            String(repeating: "<a>", count: 100_000),
            "<a>" + String(repeating: "<b/>", count: 100_001) + "</a>",
            "<" + String(repeating: "n", count: 300) + "/>",
        ])
    func hostile(_ text: String) {
        #expect(read(text) == nil)
    }

    @Test("Sixteen levels of elements are read")
    func depth() {
        #expect(
            read(String(repeating: "<a>", count: 16) + String(repeating: "</a>", count: 16)) != nil)
    }
}
