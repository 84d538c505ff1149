@testable import ckpt
import Testing

/// The pure parts of a report.
@Suite(.timeLimit(.minutes(20))) struct ReportPartTests {
    @Test func scalesPlaceAndTick() {
        let scale = Scale([0, 10], from: 100, to: 0)
        #expect(scale.place(5) == 50 && scale.place(.nan) == nil)
        #expect(scale.ticks(5) == [0, 2, 4, 6, 8, 10])
        let decades = Scale([0.001, 10], from: 0, to: 4, isLogarithmic: true)
        #expect(decades.ticks(5).count == 5 && decades.place(0) == nil)
        #expect(abs((decades.place(1) ?? 0) - 3) < 1e-12)
        // One value, none, and values that are no numbers have an axis too.
        for values in [[7.0], [], [.infinity, .nan]] {
            let flat = Scale(values, from: 0, to: 1)
            #expect(flat.domain.lowerBound < flat.domain.upperBound && !flat.ticks(5).isEmpty)
        }
    }

    @Test func nothingButTextComesOutOfText() {
        var page = ""
        HTML.tag("p", ["title": "\"><script>"], "a<b>&'\u{1B}\u{202E}").write(to: &page)
        #expect(page == "<p title=\"&quot;&gt;&lt;script&gt;\">a&lt;b&gt;&amp;&#39;\\u{1B}\\u{202E}</p>")
        var script = ""
        HTML.embedded("{\"a\":\"</script><!--\"}").write(to: &script)
        #expect(!script.contains("<") && !script.contains(">"))
    }
}
