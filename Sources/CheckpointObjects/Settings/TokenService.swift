internal import Foundation

/// The Security Token Service, which exchanges tokens and credentials for temporary credentials.
struct TokenService: Sendable {
    let address: HostAddress
    let region: String
    let http: any SmallHTTP

    private static let timeout = 10.0
    private static let attempts = 2
    private static let version = "2011-06-15"

    /// A role to take.
    struct Role: Sendable {
        var arn: String
        var sessionName: String?
        var externalID: String?
        var duration: String?
    }

    /// Exchanges the token of an identity provider (AssumeRoleWithWebIdentity, not signed).
    ///
    /// - Parameters:
    ///   - token: the token.
    ///   - role: the role.
    ///   - source: the source for errors.
    ///   - now: the time in seconds since 1970.
    /// - Returns: temporary credentials.
    /// - Throws: `CredentialError` if there is no usable answer.
    func exchange(
        token: String, role: Role, source: String, now: Double
    ) throws(CredentialError) -> Credentials {
        let form = Self.form("AssumeRoleWithWebIdentity", role, now) + [("WebIdentityToken", token)]
        let operation = "AssumeRoleWithWebIdentity"
        let response = try respond(form, operation, [token], source) { [] }
        return try read(response, operation, [token], source)
    }

    /// Takes a role with other credentials (AssumeRole).
    ///
    /// - Parameters:
    ///   - role: the role.
    ///   - credentials: the credentials that sign the request.
    ///   - source: the source for errors.
    ///   - now: the time in seconds since 1970.
    /// - Returns: temporary credentials.
    /// - Throws: `CredentialError` if there is no usable answer.
    func assume(
        _ role: Role, with credentials: Credentials, source: String, now: Double
    ) throws(CredentialError) -> Credentials {
        var form = Self.form("AssumeRole", role, now)
        if let id = role.externalID { form.append(("ExternalId", id)) }
        let body = RequestSigner.encoded(form)
        let headers = [("host", address.hostHeader), ("content-type", Self.contentType)]
        func signature(at time: Double) -> [(String, String)] {
            RequestSigner(service: "sts", region: region).sign(
                method: "POST", path: "/", query: [], headers: headers,
                payloadHash: RequestSigner.hash(Array(body.utf8)), credentials: credentials,
                date: Date(timeIntervalSince1970: time))
        }
        let (operation, secrets) = ("AssumeRole", credentials.secrets)
        var response = try respond(form, operation, secrets, source) { signature(at: now) }
        // The clock of this machine may be what is wrong: of the service's, the request is sent
        // once more.
        let date = response.headers.first { $0.0.lowercased() == "date" }
        if response.status != 200, let theirs = date.flatMap({ HTTPDate.read($0.1) }),
            abs(theirs - now) > Self.skewMax
        {
            response = try respond(form, operation, secrets, source) { signature(at: theirs) }
        }
        return try read(response, operation, secrets, source)
    }

    /// Difference of the clocks in seconds that a signature may have; the service allows 5 minutes.
    private static let skewMax = 240.0

    private static let contentType = "application/x-www-form-urlencoded; charset=utf-8"

    private static func form(
        _ action: String, _ role: Role, _ now: Double
    ) -> [(String, String)] {
        let session = role.sessionName ?? "ckpt-\(Int64(exactly: now.rounded()) ?? 0)"
        let duration = role.duration.map { [("DurationSeconds", $0)] } ?? []
        return [
            ("Action", action), ("Version", version), ("RoleArn", role.arn),
            ("RoleSessionName", session),
        ] + duration
    }

    /// Sends a request, twice if need be.
    private func respond(
        _ form: [(String, String)], _ operation: String, _ secrets: [String], _ source: String,
        headers: () -> [(String, String)]
    ) throws(CredentialError) -> SmallResponse {
        let request = SmallRequest(
            method: "POST", url: "\(address)/",
            headers: [("host", address.hostHeader), ("content-type", Self.contentType)]
                + headers(),
            body: Array(RequestSigner.encoded(form).utf8), timeout: Self.timeout)
        let service = "\(operation) at \(address)"
        var failure: SmallHTTPError?
        for attempt in 1...Self.attempts {
            let response: SmallResponse
            do {
                response = try http.send(request)
            } catch {
                failure = error
                continue
            }
            if response.status >= 500, attempt < Self.attempts { continue }
            return response
        }
        let text = SafeText.shown(failure?.text ?? "", hiding: secrets)
        throw CredentialError(
            source, "\(service) did not respond: \(text)",
            "Check the network, or set AWS_ENDPOINT_URL_STS")
    }

    private func read(
        _ response: SmallResponse, _ operation: String, _ secrets: [String], _ source: String
    ) throws(CredentialError) -> Credentials {
        let service = "\(operation) at \(address)"
        let root = XMLElement(decoding: response.body)
        guard response.status == 200 else {
            let error = root?.child("Error")
            let parts = [error?["Code"], error?["Message"]].map {
                SafeText.shown($0 ?? "", hiding: secrets)
            }
            let reason = parts.filter { !$0.isEmpty }.joined(separator: ": ")
            throw CredentialError(
                source,
                "\(service) returned HTTP status \(response.status)"
                    + (reason.isEmpty ? "" : ", \(reason)"),
                "Check the role, its trust policy, and the identity that asks for it")
        }
        guard let found = root?.child("\(operation)Result")?.child("Credentials"),
            let key = found["AccessKeyId"], let secret = found["SecretAccessKey"],
            let token = found["SessionToken"], let expiry = UTCTime.read(found["Expiration"] ?? "")
        else {
            throw CredentialError(
                source, "the response of \(service) contains no credentials",
                "Check that the address is that of a Security Token Service")
        }
        return try Credentials(
            accessKeyID: key, secretAccessKey: secret, sessionToken: token, expiry: expiry
        ).checked(source)
    }
}
