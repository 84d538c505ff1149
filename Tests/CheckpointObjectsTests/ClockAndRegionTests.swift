import CheckpointTestSupport
import Foundation
import Testing

@testable import CheckpointObjects

/// Stores whose clock or region is not the one that this machine takes it to be.
@Suite(
    "Clock and region of a store", .timeLimit(.minutes(10)),
    .enabled(if: Requirement.objects.isTested, "\(Requirement.objects.reason)"))
struct ClockAndRegionTests {
    /// Returns a store of this manner; the caller stops the proxy.
    private func imitated(_ manner: FaultProxy.Manner) throws -> (FaultProxy, S3ObjectStore) {
        let server = try #require(ObjectServer.shared)
        let proxy = try FaultProxy(server.endpoint)
        proxy.imitate(manner) { _ in }
        return (proxy, server.objects(through: proxy.endpoint))
    }

    @Test("A client finds out once, and goes on",
        arguments: [FaultProxy.Manner.ahead(hours: 1), .inAnotherRegion])
    func learned(_ manner: FaultProxy.Manner) throws {
        let (proxy, objects) = try imitated(manner)
        defer { proxy.stop() }
        try objects.create("first", [1, 2, 3])
        #expect(proxy.refused == 1)
        try objects.upload("second", from: MemoryFile([4, 5]))
        #expect(try objects.bytes(of: "first", count: 3) == [1, 2, 3])
        #expect(try objects.size(of: "second") == 2)
        #expect(try objects.list("", limit: nil).objects.sorted() == ["first", "second"])
        try objects.remove("first")
        #expect(proxy.refused == 1)
        if manner == .ahead(hours: 1) {
            let skew = try #require(objects.client.clockSkew)
            #expect(abs(skew - 3600) < 60)
        }
    }

    @Test("Also if the first request is one whose answer has no body",
        arguments: [FaultProxy.Manner.ahead(hours: 1), .inAnotherRegion])
    func head(_ manner: FaultProxy.Manner) throws {
        let (proxy, objects) = try imitated(manner)
        defer { proxy.stop() }
        #expect(try objects.size(of: "nothing") == nil)
        #expect(proxy.refused == 1)
    }

    @Test("Several requests at once find out, each at most once",
        arguments: [FaultProxy.Manner.ahead(hours: 1), .inAnotherRegion])
    func simultaneous(_ manner: FaultProxy.Manner) throws {
        let (proxy, objects) = try imitated(manner)
        defer { proxy.stop() }
        try ConditionProbe(objects).run()
        #expect((1...ConditionProbe.racers).contains(proxy.refused))
        #expect(try objects.list("", limit: nil).isEmpty)
    }
}
