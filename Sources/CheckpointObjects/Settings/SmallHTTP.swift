/// Sends small requests to services that give credentials. Thread-safe.
package protocol SmallHTTP: Sendable {
    /// Sends a request once, follows no redirect, and waits for the answer.
    ///
    /// - Parameter request: the request.
    /// - Returns: the answer, of any status.
    /// - Throws: `SmallHTTPError` if there is no answer.
    func send(_ request: SmallRequest) throws(SmallHTTPError) -> SmallResponse
}
