@testable import CheckpointObjects
import Foundation
import Testing

@Suite("Refresh of credentials", .timeLimit(.minutes(10)))
struct CredentialProviderTests {
    /// A clock that the test moves.
    private final class Clock: @unchecked Sendable {
        private let lock = NSLock()
        private var time = 1000.0
        var now: Double {
            get { lock.withLock { time } }
            set { lock.withLock { time = newValue } }
        }
    }

    /// A source that gives credentials with a number, or fails.
    private final class Source: CredentialSource, @unchecked Sendable {
        private let lock = NSLock()
        private var count = 0
        private var state = (isFailing: false, isSame: false)
        let lifetime: Double
        /// Called in each fetch, outside the lock.
        let during: @Sendable (Int) -> Void

        init(lifetime: Double = 3600, during: @escaping @Sendable (Int) -> Void = { _ in }) {
            self.lifetime = lifetime
            self.during = during
        }

        var fetches: Int { lock.withLock { count } }
        var isFailing: Bool {
            get { lock.withLock { state.isFailing } }
            set { lock.withLock { state.isFailing = newValue } }
        }
        var isSame: Bool {
            get { lock.withLock { state.isSame } }
            set { lock.withLock { state.isSame = newValue } }
        }

        func fetch(now: Double) throws(CredentialError) -> CredentialAnswer {
            let number = lock.withLock {
                count += 1
                return count
            }
            during(number)
            if isFailing { throw CredentialError("test", "it fails", "Wait") }
            return .found(
                Credentials(
                    accessKeyID: "AKID\(isSame ? 1 : number)", secretAccessKey: Secret.key,
                    expiry: now + lifetime), source: "test")
        }
    }

    private struct Absent: CredentialSource {
        func fetch(now: Double) -> CredentialAnswer { .absent("nothing here") }
    }

    @Test("Credentials are fetched once, and renewed five minutes before their end")
    func early() throws {
        let (clock, source) = (Clock(), Source())
        let provider = CredentialProvider(sources: [Absent(), source], clock: { clock.now })
        #expect(try provider.credentials().accessKeyID == "AKID1")
        clock.now += 3299
        #expect(try provider.credentials().accessKeyID == "AKID1")
        clock.now += 1
        #expect(try provider.credentials().accessKeyID == "AKID2")
        #expect(source.fetches == 2)
        #expect(provider.source == "test")
    }

    @Test("A failed early renewal is no error, and is tried again after a minute")
    func failingEarly() throws {
        let (clock, source) = (Clock(), Source())
        let provider = CredentialProvider(sources: [source], clock: { clock.now })
        _ = try provider.credentials()
        source.isFailing = true
        clock.now += 3310
        for _ in 0..<3 { #expect(try provider.credentials().accessKeyID == "AKID1") }
        #expect(source.fetches == 2)
        clock.now += 59
        _ = try provider.credentials()
        #expect(source.fetches == 2)
        clock.now += 1
        _ = try provider.credentials()
        #expect(source.fetches == 3)
        clock.now = 1000 + 3600
        #expect(throws: CredentialError.self) { try provider.credentials() }
        source.isFailing = false
        #expect(try provider.credentials().accessKeyID == "AKID5")
    }

    @Test("Credentials that live shorter than five minutes are not fetched at each call")
    func shortLived() throws {
        let (clock, source) = (Clock(), Source(lifetime: 120))
        let provider = CredentialProvider(sources: [source], clock: { clock.now })
        for _ in 0..<5 { _ = try provider.credentials() }
        #expect(source.fetches == 1)
        clock.now += 60
        for _ in 0..<5 { _ = try provider.credentials() }
        #expect(source.fetches == 2)
    }

    @Test("Refused credentials are renewed once, and only if they are the present ones")
    func refused() throws {
        let (clock, source) = (Clock(), Source())
        let provider = CredentialProvider(sources: [source], clock: { clock.now })
        let first = try provider.credentials()
        try provider.refresh(after: first)
        let second = try provider.credentials()
        #expect(second.accessKeyID == "AKID2")
        try provider.refresh(after: first)
        #expect(source.fetches == 2)
        source.isFailing = true
        #expect(throws: CredentialError.self) { try provider.refresh(after: second) }
        #expect(try provider.credentials() == second)
    }

    @Test("A source without newer credentials than the refused ones is an error")
    func refusedForGood() throws {
        let (clock, source) = (Clock(), Source())
        source.isSame = true
        let provider = CredentialProvider(sources: [source], clock: { clock.now })
        let first = try provider.credentials()
        clock.now += 10
        let error = try #require(throws: CredentialError.self) {
            try provider.refresh(after: first)
        }
        #expect("\(error)".contains("no newer ones"))
        let fixed = CredentialProvider(sources: [FixedSource(first)], clock: { clock.now })
        #expect(throws: CredentialError.self) { try fixed.refresh(after: first) }
    }

    /// The results of the threads of a test, by their numbers.
    private final class Results: @unchecked Sendable {
        private let lock = NSLock()
        private var values: [Int: String] = [:]

        func add(_ index: Int, _ value: String) { lock.withLock { values[index] = value } }
        var all: [String] { lock.withLock { values.sorted { $0.key < $1.key }.map(\.value) } }
    }

    /// Runs a body on some threads, and waits for them.
    ///
    /// - Returns: what the body has returned on each thread; "error" if it has thrown.
    private func onThreads(
        _ count: Int, _ body: @escaping @Sendable (Int) throws -> String
    ) -> [String] {
        let results = Results()
        let group = DispatchGroup()
        for index in 0..<count {
            group.enter()
            Thread.detachNewThread {
                results.add(index, (try? body(index)) ?? "error")
                group.leave()
            }
        }
        group.wait()
        return results.all
    }

    @Test("Threads without credentials wait for the one that fetches them")
    func waiting() {
        let source = Source(during: { _ in Thread.sleep(forTimeInterval: 0.1) })
        let provider = CredentialProvider(sources: [source], clock: { 1000 })
        let found = onThreads(8) { _ in try provider.credentials().accessKeyID }
        #expect(found == Array(repeating: "AKID1", count: 8))
        #expect(source.fetches == 1)
    }

    @Test("Threads that wait get the error of the one that fetches")
    func waitingForAnError() {
        let (started, goOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let source = Source(during: { _ in
            started.signal()
            goOn.wait()
        })
        source.isFailing = true
        let provider = CredentialProvider(sources: [source], clock: { 1000 })
        let found = onThreads(3) { index in
            if index > 0 {
                started.wait()
                started.signal()
            }
            if index < 2 { return try provider.credentials().accessKeyID }
            // The other thread most likely waits by now; if not, it fetches and fails itself.
            Thread.sleep(forTimeInterval: 0.1)
            for _ in 0..<2 { goOn.signal() }
            return "done"
        }
        #expect(found == ["error", "error", "done"])
        #expect((1...2).contains(source.fetches))
    }

    @Test("While one thread renews valid credentials, another one uses them")
    func concurrent() throws {
        let (started, goOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let clock = Clock()
        let source = Source(during: { number in
            guard number == 2 else { return }
            started.signal()
            goOn.wait()
        })
        let provider = CredentialProvider(sources: [source], clock: { clock.now })
        _ = try provider.credentials()
        clock.now += 3400
        let found = onThreads(2) { index in
            if index == 0 { return try provider.credentials().accessKeyID }
            started.wait()
            defer { goOn.signal() }
            return try provider.credentials().accessKeyID
        }
        #expect(found == ["AKID2", "AKID1"])
        #expect(source.fetches == 2)
    }

    @Test("Threads whose credentials are refused renew them once")
    func refusedTwice() throws {
        let source = Source(during: { _ in Thread.sleep(forTimeInterval: 0.05) })
        let provider = CredentialProvider(sources: [source], clock: { 1000 })
        let first = try provider.credentials()
        let found = onThreads(4) { _ in
            try provider.refresh(after: first)
            return try provider.credentials().accessKeyID
        }
        #expect(found == Array(repeating: "AKID2", count: 4))
        #expect(source.fetches == 2)
    }
}
