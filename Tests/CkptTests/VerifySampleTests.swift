import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// `ckpt verify` of a part, of one checkpoint, and of everything.
@Suite(.timeLimit(.minutes(20))) struct VerifySampleTests {
    /// Different seeds, between them, see all blocks; one seed always the same. Blocks are ranked by
    /// a hash of the seed and of the segment's name, which is random. A sample holds 2 of 8 blocks
    /// of equal size, so a seed misses the damaged one with a probability of at most 3/4, and all
    /// of 100 seeds do with less than 1e-12; most often a few are enough.
    @Test func aSampleIsChosenByItsSeed() throws {
        let sample = try Sample()
        let place = try sample.place(of: "model.weight", step: 20)
        try sample.folder.damage(place.file, at: place.offset)
        var found: [Int32] = []
        for seed in 0..<100 where Set(found).count < 2 {
            let run = try ckpt("verify", sample.store, "--sample", "20%", "--seed", "\(seed)", "--json")
            let again = try ckpt("verify", sample.store, "--sample", "20%", "--seed", "\(seed)", "--json")
            #expect(run.output == again.output)
            let json = try run.json()
            let fraction = try #require(json.number("fraction"))
            #expect(fraction >= 0.2 && fraction < 0.5)
            #expect(json.object("sample").text("seed") == "\(seed)")
            if run.status == 0 { #expect(json.members["whole"] is NSNull) } else { #expect(json.flag("whole") == false) }
            found.append(run.status)
        }
        #expect(Set(found) == [0, 1], "\(found)")
    }

    @Test func aSampleOfEverythingIsWhole() throws {
        let sample = try Sample(compression: .zstd(level: 1))
        let run = try ckpt("verify", sample.store, "--all", "--sample", "100%", "--json")
        #expect(run.status == 0)
        #expect(try run.json().flag("whole") == true && run.json().number("fraction") == 1)
        let part = try ckpt("verify", sample.store, "10", "--sample", "1%", "--seed", "3")
        #expect(part.status == 0 && part.output.hasPrefix("OK (sample only): 1 checkpoint, 1 segment"))
        #expect(part.output.contains("(seed 3)"))
    }

    @Test func allIsWhatIsMeantWithoutAReference() throws {
        let sample = try Sample()
        #expect(try ckpt("verify", sample.store, "--all").output == ckpt("verify", sample.store).output)
    }

    @Test(arguments: [
        ["latest", "--all"], ["--quick", "--sample", "1%"], ["--seed", "1"], ["--sample", "0%"], ["--sample", "101%"], ["--sample", "10"],
    ])
    func whatContradictsItselfIsRefused(_ options: [String]) throws {
        #expect(try ckpt(["verify", "store"] + options).status == 2)
    }

    @Test func outputsAreThoseOfTheGoldenFiles() throws {
        let sample = try Sample()
        let golden = Golden(folder: sample.folder)
        try golden.expect(ckpt("verify", sample.store), "verify.txt", status: 0)
        try golden.expect(ckpt("verify", sample.store, "--quick", "--json"), "verify.json", status: 0)
        let place = try sample.place(of: "model.bias", step: 20)
        try sample.folder.damage(place.file, at: place.offset)
        try golden.expect(ckpt("verify", sample.store, "20"), "verify-damage.txt", status: 1)
        // A narrow terminal shows the file before it shows the damage in words.
        let command = "stty cols 80; '\(program.path)' verify '\(sample.store)' 20"
        let narrow = try execute(URL(fileURLWithPath: "/usr/bin/script"), ["-qec", command, "/dev/null"])
        let lines = narrow.output.replacingOccurrences(of: "\r", with: "").split(separator: "\n")
        #expect(lines.contains { $0.contains(".bias") && $0.contains(" segments/") && $0.count <= 80 }, "\(narrow)")
        try golden.expect(ckpt("verify", sample.store, "20", "--json"), "verify-damage.json", status: 1)
    }
}
