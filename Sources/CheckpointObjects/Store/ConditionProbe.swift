internal import CheckpointIO
internal import Foundation

/// A trial of what a commit relies on: that of several creates of one object, one succeeds.
///
/// Some stores ignore the condition, and some keep it only as long as nobody else writes. Both
/// would lose checkpoints silently, so a store is tried, by creates at the same time and one after
/// the other, before it is written to.
package struct ConditionProbe {
    private let objects: any ObjectStore
    /// Access to the same objects, by each address of the store.
    private let addresses: [any ObjectStore]
    /// Number of creates at the same time.
    static let racers = 16

    /// Creates a probe; sends nothing.
    ///
    /// - Parameter addresses: access to the same objects, by each address of the store.
    package init(_ addresses: [any ObjectStore]) {
        precondition(!addresses.isEmpty, "there is nothing to try")
        (objects, self.addresses) = (addresses[0], addresses)
    }

    /// Creates a probe of a store with one address; sends nothing.
    package init(_ objects: any ObjectStore) { self.init([objects]) }

    /// Returns the places that answer.
    static func reachable<Objects: ObjectStore>(_ places: [Objects]) -> [Objects] {
        // A place without an answer is left out, so that nothing is thrown.
        let answers = try? ParallelMap.run(
            places.count, name: "ckpt-probe", threadsMax: places.count, callsPerThread: 1
        ) { number throws(ObjectStoreError) -> Bool in
            do throws(ObjectStoreError) {
                _ = try places[number].size(of: "store.json")
                return true
            } catch { return error.kind != .noAnswer }
        }
        return zip(places, answers ?? []).filter(\.1).map(\.0)
    }

    /// Tries the store. Leaves nothing, unless the store fails in between.
    ///
    /// - Throws: `.unsupported`, with what the store does wrong; otherwise the error of a request.
    package func run() throws(ObjectStoreError) {
        let key = "probe-\(UUID().uuidString.lowercased())"
        // If it cannot be removed, a few bytes stay, which nobody reads.
        defer { try? objects.remove(key) }
        let winners = try race(for: key)
        guard winners.count == 1, let winner = winners.first else {
            throw refusal(
                key, "of \(Self.racers) simultaneous creates of one object, \(winners.count) "
                    + "succeeded instead of one")
        }
        do throws(ObjectStoreError) {
            try objects.create(key, Self.content(Self.racers))
            throw refusal(key, "it overwrites an object although the request forbids that")
        } catch { guard error.kind == .exists else { throw error } }
        let wanted = Self.content(winner)
        guard try objects.bytes(of: key, count: wanted.count) == wanted else {
            throw refusal(key, "it returns different bytes than were written")
        }
        guard try objects.bytes(of: key, at: 3, count: 4) == Array(wanted[3..<7]) else {
            throw refusal(key, "it does not support range requests")
        }
    }

    /// - Returns: the numbers of the creates that have succeeded.
    private func race(for key: String) throws(ObjectStoreError) -> [Int] {
        let addresses = addresses
        return try ParallelMap.run(
            Self.racers, name: "ckpt-probe", threadsMax: Self.racers, callsPerThread: 1
        ) { number throws(ObjectStoreError) -> Int? in
            do throws(ObjectStoreError) {
                try addresses[number % addresses.count].create(key, Self.content(number))
                return number
            } catch {
                guard error.kind == .exists else { throw error }
                return nil
            }
        }.compactMap { $0 }
    }

    private static func content(_ number: Int) -> [UInt8] {
        Array("create \(number) of a probe".utf8)
    }

    private func refusal(_ key: String, _ text: String) -> ObjectStoreError {
        ObjectStoreError(
            .unsupported, "PUT", key,
            "the store cannot hold checkpoints: \(text) (If-None-Match: *)")
    }
}
