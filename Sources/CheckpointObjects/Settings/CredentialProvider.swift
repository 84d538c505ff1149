internal import Foundation

/// Gives credentials from the first source that has some, and renews them before they end.
/// Thread-safe: one thread renews them; the others use the old ones, or wait if there are none.
package final class CredentialProvider: @unchecked Sendable {
    /// Seconds before the end at which credentials are renewed.
    package static let early = 300.0
    /// Seconds between attempts to renew credentials that are still valid.
    package static let pause = 60.0

    private struct Current {
        var credentials: Credentials
        /// Index in `sources`.
        var index: Int
        var source: String
    }

    private let sources: [any CredentialSource]
    private let clock: @Sendable () -> Double

    /// Protects what follows. It is not held while a source is asked.
    private let condition = NSCondition()
    private var current: Current?
    private var isFetching = false
    /// Number of fetches that have ended, and the error of the last one.
    private var fetchCount = 0
    private var failure: CredentialError?
    private var nextEarlyFetch = -Double.infinity

    /// Creates a provider; asks no source yet.
    ///
    /// - Parameters:
    ///   - sources: the sources, in the order in which they are asked.
    ///   - clock: returns the time in seconds since 1970.
    package init(
        sources: [any CredentialSource],
        clock: @escaping @Sendable () -> Double = { Date().timeIntervalSince1970 }
    ) {
        self.sources = sources
        self.clock = clock
    }

    /// Creates a provider with the sources of the AWS tools, in their order.
    ///
    /// - Parameters:
    ///   - explicit: credentials that come before all others; nil for none.
    ///   - environment: the variables of the process.
    ///   - settings: the addresses of the services.
    ///   - http: sends requests.
    ///   - files: the profiles; nil reads those of the environment, again for each fetch.
    ///   - clock: returns the time in seconds since 1970.
    package convenience init(
        explicit: Credentials? = nil, environment: [String: String], settings: S3Settings,
        http: any SmallHTTP, files: ConfigFiles? = nil,
        clock: @escaping @Sendable () -> Double = { Date().timeIntervalSince1970 }
    ) {
        let service = TokenService(
            address: settings.tokenServiceAddress, region: settings.region.value, http: http)
        let given: [any CredentialSource] = explicit.map { [FixedSource($0)] } ?? []
        self.init(
            sources: given + [
                EnvironmentSource(environment),
                WebIdentitySource(environment: environment, service: service),
                ProfileSource(environment: environment, service: service, files: files),
                ContainerSource(environment: environment, http: http),
                InstanceSource(environment: environment, http: http),
            ], clock: clock)
    }

    /// The source of the present credentials for people; "none" before the first ones.
    package var source: String {
        condition.withLock { current?.source ?? "none" }
    }

    /// Returns credentials that are valid now, and fetches or renews them if need be.
    ///
    /// - Throws: `CredentialError` if no source has credentials, or the first one that has some
    ///   fails. A failure to renew credentials that are still valid is not an error.
    package func credentials() throws(CredentialError) -> Credentials {
        condition.lock()
        while true {
            let now = clock()
            if let credentials = current?.credentials, isUsable(credentials, now) {
                condition.unlock()
                return credentials
            }
            guard isFetching else { break }
            if let error = waitForFetch() {
                condition.unlock()
                throw error
            }
        }
        let old = current
        isFetching = true
        condition.unlock()
        let result = fetch(old?.index)
        condition.lock()
        defer { condition.unlock() }
        finish(result)
        switch result {
        case .success(let new):
            return new.credentials
        case .failure(let error):
            guard let old, isAlive(old.credentials, clock()) else { throw error }
            return old.credentials
        }
    }

    /// Fetches new credentials, because the store has refused some as expired (403 ExpiredToken).
    /// Does nothing if others are there already.
    ///
    /// - Parameter rejected: the credentials that the store has refused.
    /// - Throws: `CredentialError` if the source fails, or has only the refused ones.
    package func refresh(after rejected: Credentials) throws(CredentialError) {
        condition.lock()
        while true {
            if let current, current.credentials != rejected {
                condition.unlock()
                return
            }
            guard isFetching else { break }
            if let error = waitForFetch() {
                condition.unlock()
                throw error
            }
        }
        let index = current?.index
        isFetching = true
        condition.unlock()
        var result = fetch(index)
        if case .success(let new) = result, new.credentials.isSameKey(as: rejected) {
            result = .failure(
                CredentialError(
                    new.source,
                    "the store refuses the credentials as expired, "
                        + "and the source has no newer ones",
                    "Renew them, for example by signing in again"))
        }
        condition.lock()
        defer { condition.unlock() }
        finish(result)
        if case .failure(let error) = result { throw error }
    }

    /// Returns true if credentials need not be waited for: they are fresh, or they are still valid
    /// and another thread renews them, or an attempt has just failed.
    private func isUsable(_ credentials: Credentials, _ now: Double) -> Bool {
        guard let expiry = credentials.expiry, now >= expiry - Self.early else { return true }
        return now < expiry && (isFetching || now < nextEarlyFetch)
    }

    private func isAlive(_ credentials: Credentials, _ now: Double) -> Bool {
        credentials.expiry.map { now < $0 } ?? true
    }

    /// Waits, with the lock, for the end of the fetch of another thread. Returns its error.
    private func waitForFetch() -> CredentialError? {
        let count = fetchCount
        while fetchCount == count { condition.wait() }
        return failure
    }

    /// Stores the result of a fetch, with the lock.
    private func finish(_ result: Result<Current, CredentialError>) {
        switch result {
        case .success(let new):
            current = new
            failure = nil
            // Credentials that are short-lived from the start must not be fetched at each call.
            nextEarlyFetch = clock() + Self.pause
        case .failure(let error):
            failure = error
            nextEarlyFetch = clock() + Self.pause
        }
        isFetching = false
        fetchCount += 1
        condition.broadcast()
    }

    /// Asks the source that has won before, or all of them in order.
    private func fetch(_ index: Int?) -> Result<Current, CredentialError> {
        var absent: [String] = []
        for candidate in index.map({ $0..<($0 + 1) }) ?? sources.indices {
            do throws(CredentialError) {
                switch try sources[candidate].fetch(now: clock()) {
                case .found(let credentials, let source):
                    guard isAlive(credentials, clock()) else {
                        throw CredentialError(
                            source, "the credentials have expired", "Renew them at their source")
                    }
                    return .success(
                        Current(credentials: credentials, index: candidate, source: source))
                case .absent(let reason):
                    absent.append(reason)
                }
            } catch {
                return .failure(error)
            }
        }
        return .failure(
            CredentialError(
                "any source", absent.joined(separator: "; "),
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE, "
                    + "or set CKPT_S3_ANONYMOUS=1 for a public bucket"))
    }
}

extension CredentialProvider: CustomStringConvertible, CustomReflectable {
    package var description: String { "CredentialProvider(\(source))" }
    package var customMirror: Mirror { Mirror(self, children: [("source", source)]) }
}

extension Credentials {
    /// Returns true if both are the same, whenever they end.
    fileprivate func isSameKey(as other: Credentials) -> Bool {
        accessKeyID == other.accessKeyID && secretAccessKey == other.secretAccessKey
            && sessionToken == other.sessionToken
    }
}
