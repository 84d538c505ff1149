import CheckpointFormat
@testable import ckpt
import Testing

/// The pure parts of a report.
@Suite(.timeLimit(.minutes(20))) struct ReportPartTests {
    private func node(_ id: UInt128, _ run: UInt128, _ step: Int, parent: UInt128? = nil) -> Ancestry.Node {
        Ancestry.Node(
            id: CheckpointID(rawValue: id), run: RunID(rawValue: run), step: step, parent: parent.map { CheckpointID(rawValue: $0) })
    }

    @Test func aPathLeadsThroughTheRunsThatWereResumed() {
        let nodes = [
            node(1, 1, 10), node(2, 1, 20), node(3, 1, 30), node(4, 2, 25, parent: 2), node(5, 2, 30, parent: 2), node(6, 3, 5),
        ]
        #expect(Ancestry.path(to: 4, in: nodes) == [0, 1, 3, 4])
        #expect(Ancestry.path(to: 2, in: nodes) == [0, 1, 2])
        #expect(Ancestry.path(to: 5, in: nodes) == [5])
    }

    @Test func aForgedCircleEnds() {
        let nodes = [node(1, 1, 10, parent: 2), node(2, 2, 5, parent: 1)]
        #expect(Ancestry.path(to: 0, in: nodes) == [1, 0])
    }

    @Test func someStandForMany() {
        #expect(Ancestry.evenly(Array(0..<5), 10) == [0, 1, 2, 3, 4])
        #expect(Ancestry.evenly(Array(0...100), 5) == [0, 25, 50, 75, 100])
        #expect(Ancestry.evenly(Array(0..<7), 2) == [0, 6])
    }

    @Test func layersAreWhatNamesHaveInCommon() {
        let names = ["m.h.0.attn.weight", "m.h.0.attn.bias", "m.h.0.mlp.weight", "m.h.1.attn.weight", "m.wte"]
        #expect(Layers.group(names, limit: 10).map(\.layer) == ["m.h.0.attn", "m.h.0.mlp", "m.h.1.attn", "m"])
        #expect(Layers.group(names, limit: 3).map(\.layer) == ["m.h.0", "m.h.1", "m"])
        #expect(Layers.group(names, limit: 3).map(\.members) == [[0, 1, 2], [3], [4]])
        #expect(Layers.group(["a", "b", "c"], limit: 2).map(\.layer) == ["a", "others"])
        #expect(Layers.group(["a", "b", "c"], limit: 2).map(\.members) == [[0], [1, 2]])
        #expect(Layers.group([], limit: 2).isEmpty)
    }

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
