import CheckpointTestSupport
import Foundation
import Testing

@testable import ckpt

/// Tables, progress and times, as a terminal shows them.
@Suite(.timeLimit(.minutes(20))) struct TerminalTests {
    private let columns: [Column] = [
        "STEP", .init("ID", rank: 1), .init("NAME", shortest: 6),
        .init("NOTE", rank: 2, shortest: 4),
    ]

    @Test func columnsAreShortenedBeforeTheyAreLeftOut() {
        let natural = [4, 12, 30, 20]
        #expect(TableLayout(columns, natural: natural, available: nil).widths == natural)
        #expect(TableLayout(columns, natural: natural, available: 72).widths == natural)
        // The longest gives way first.
        #expect(TableLayout(columns, natural: natural, available: 62).widths == [4, 12, 20, 20])
        #expect(TableLayout(columns, natural: natural, available: 32).widths == [4, 12, 6, 4])
        // NOTE has the highest rank; without it NAME may be longer.
        #expect(TableLayout(columns, natural: natural, available: 31).widths == [4, 12, 11, nil])
        // A column without content goes before anything is shortened.
        let empty = TableLayout(columns, natural: natural, empty: [3], available: 62)
        #expect(empty.widths == [4, 12, 30, nil])
        #expect(TableLayout(columns, natural: natural, available: 25).widths == [4, nil, 19, nil])
        // What has no rank stays, however narrow the terminal is.
        #expect(TableLayout(columns, natural: natural, available: 3).widths == [4, nil, 6, nil])
    }

    /// Seeds are printed by the arguments of the test.
    @Test(arguments: 0..<50)
    func noLineIsWiderThanTheTerminal(seed: Int) {
        var random = SeededGenerator(UInt64(seed))
        var table = Table(columns)
        let letters = ["a", "é", "層", "🙂", "\u{1B}[31m", "."]
        for _ in 0..<5 {
            table.add(
                (0..<4).map { column in
                    let count = Int.random(in: 0...(column == 0 ? 0 : 40), using: &random)
                    return (0..<count).map { _ in letters.randomElement(using: &random) ?? "a" }
                        .joined()
                })
        }
        let width = Int.random(in: 20...120, using: &random)
        let lines = table.lines(width: width)
        #expect(lines.count >= 6)
        for line in lines.prefix(6) {
            #expect(DisplayWidth.of(line) <= width, "\(width): \(line)")
            #expect(!line.contains("\u{1B}"))
        }
    }

    @Test func namesAreShortenedInTheMiddle() {
        #expect(DisplayWidth.shortened("model.layers.0.weight", to: 11) == "model…eight")
        #expect(DisplayWidth.shortened("short", to: 5) == "short")
        #expect(DisplayWidth.shortened("short", to: 1) == "…")
        #expect(
            DisplayWidth.of("層a") == 3
                && DisplayWidth.of(DisplayWidth.shortened("層層層層", to: 5)) <= 5)
    }

    @Test func shortenedNamesOfOneColumnStayDifferent() {
        var table = Table([.init("NAME", shortest: 10), "SIZE"])
        for layer in 0..<12 { table.add(["model.layers.\(layer).attention.weight", "4 KiB"]) }
        let lines = table.lines(width: 24)
        #expect(Set(lines).count == 13)
        #expect(lines.allSatisfy { DisplayWidth.of($0) <= 24 && !$0.hasSuffix("model") })
        // Names of which none can be told apart are cut in the middle, as one name alone.
        #expect(DisplayWidth.bestHead(["model.layers.0.weight"], width: 11) == 5)
        #expect(DisplayWidth.bestHead(["aaaaaaaaXaaaaaaaa", "aaaaaaaaYaaaaaaaa"], width: 5) == 2)
    }

    @Test func metricsAreShortenedToWholeNumbers() {
        let text = "loss=5.012e-05 lr=0.001 step_time=12"
        #expect(DisplayWidth.words(text, to: 36) == text)
        #expect(DisplayWidth.words(text, to: 35) == "loss=5.012e-05 lr=0.001…")
        #expect(DisplayWidth.words(text, to: 23) == "loss=5.012e-05…")
        #expect(DisplayWidth.words(text, to: 14) == "loss=…")
        #expect(DisplayWidth.words(text, to: 4) == "los…")
        #expect(DisplayWidth.words("checkpoint", to: 6) == "check…")
    }

    @Test func progressSaysHowMuchHowQuicklyAndForHowLong() {
        let start = ContinuousClock.now
        var pace = ProgressPace(isTerminal: true, now: start)
        #expect(
            pace.isDue(at: start) && !pace.isDue(at: start + .milliseconds(99))
                && pace.isDue(at: start + .milliseconds(100)))
        #expect(
            pace.text("verifying", 1 << 20, of: 4 << 20, at: start) == "verifying: 25 % of 4.0 MiB")
        #expect(
            pace.text("verifying", 1 << 20, of: 4 << 20, at: start + .seconds(2))
                == "verifying: 25 % of 4.0 MiB, 512.0 KiB/s, 6 s left")
        #expect(pace.text("x", 9 << 20, of: 4 << 20, at: start + .seconds(2)).hasPrefix("x: 100 %"))
        // In a log the first line comes after ten seconds.
        var log = ProgressPace(isTerminal: false, now: start)
        #expect(
            !log.isDue(at: start + .seconds(9)) && log.isDue(at: start + .seconds(10))
                && !log.isDue(at: start + .seconds(19)))
        #expect(
            ProgressPace.time(59.4) == "59 s" && ProgressPace.time(125) == "2 min 5 s"
                && ProgressPace.time(4320) == "1 h 12 min")
        #expect(ProgressPace.time(.infinity) == "years")
    }

    @Test func theConfigurationIsReadAndMistakesAreNamed() throws {
        let text = "# mine\nstore = ~/runs/first # the usual one\n\nquiet=yes\nutc = off\n"
        let configuration = try UserConfiguration(parsing: text)
        #expect(
            configuration.store?.hasSuffix("/runs/first") == true
                && configuration.store?.hasPrefix("~") == false)
        #expect(configuration.isQuiet && !configuration.usesUTC)
        for (text, line) in [
            ("store", 1), ("a\nb", 1), ("utc = maybe", 1), ("\nshop = x", 2), ("store =", 1),
        ] {
            let mistake = #expect(throws: UserConfiguration.Mistake.self, "\(text)") {
                try UserConfiguration(parsing: text)
            }
            #expect(mistake?.line == line)
        }
        #expect(
            UserConfiguration.path(["XDG_CONFIG_HOME": "/c", "HOME": "/h"]) == "/c/ckpt/config")
        #expect(
            UserConfiguration.path(["XDG_CONFIG_HOME": "rel", "HOME": "/h"])
                == "/h/.config/ckpt/config")
        #expect(UserConfiguration.path([:]) == nil)
    }
}
