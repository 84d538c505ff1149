internal import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

/// Manifests that are whole and yet do not agree with their segments.
@Suite(.timeLimit(.minutes(20))) struct ForgedTests {
    private func findings(_ sample: Sample) throws -> [Fields] {
        try ckpt("verify", sample.store, "--json").json().list("findings")
    }

    @Test func aSegmentOfTwoCheckpointsIsReadOnceAndNamesBoth() throws {
        let sample = try Sample()
        let alone = try ckpt("verify", sample.store, "--json").json()
        try sample.forge { _ in }
        let shared = try ckpt("verify", sample.store, "--json").json()
        #expect(shared.integer("checkpoints") == 3 && shared.integer("segments") == 2)
        #expect(shared.integer("bytes") == alone.integer("bytes"))
        let place = try sample.place(of: "optimizer.m", step: 20)
        try sample.folder.damage(place.file, at: place.offset)
        let found = try findings(sample)
        #expect(found.count == 1)
        #expect(found.first?.list("checkpoints").map { $0.integer("step") } == [20, 30])
        #expect(found.first?.texts("tensors") == ["optimizer.m"])
    }

    @Test(arguments: [false, true])
    func aChunkThatIsNotWhatWasCapturedCostsItsOwnerAlone(_ isPacked: Bool) throws {
        let sample = try Sample(compression: .lz4)
        try sample.forge { manifest in
            // Objects share a block; a tensor of two chunks has two.
            let chunk = isPacked ? manifest.objects[1].chunks.lowerBound : manifest.tensors[0].shards[0].chunks.lowerBound
            manifest.chunks[chunk].hash = Hash128(rawValue: 1)
        }
        let finding = try #require(try findings(sample).first)
        #expect(finding.text("message")?.contains("differ from the captured ones") == true)
        #expect(finding.texts("tensors") == (isPacked ? [] : ["model.weight"]))
        #expect(finding.texts("objects") == (isPacked ? ["rng"] : []))
        #expect(try ckpt("inspect", sample.store, "30", "--digests").status == 1)
        #expect(try ckpt("verify", sample.store, "20").status == 0)
    }

    @Test func anExchangedSegmentIsFound() throws {
        let sample = try Sample()
        try sample.forge { $0.segments[0].trailerHash = Hash128(rawValue: 1) }
        let run = try ckpt("verify", sample.store, "30", "--quick")
        #expect(run.status == 1 && run.output.contains("trailer hash differs"))
    }

    @Test func aRowThatIsNotInTheIndexIsFound() throws {
        let sample = try Sample()
        try sample.forge { $0.blocks[0].location.storedHash ^= 1 }
        let run = try ckpt("verify", sample.store, "30", "--quick")
        #expect(run.status == 1 && run.output.contains("differs from the manifests"))
        let messages = try findings(sample).map { $0.text("message") ?? "" }
        #expect(messages.contains { $0.contains("do not match their hash") })
    }
}
