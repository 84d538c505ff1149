/// The credentials of the role of an EC2 instance, from its metadata service.
///
/// A machine that is no such instance loses a second here at most: the first request has that
/// limit, and if no connection can be made, there is no second one.
struct InstanceSource: CredentialSource, CustomReflectable {
    let environment: [String: String]
    let http: any SmallHTTP

    private static let name = "EC2 instance"
    private static let timeout = 1.0
    private static let lifetime = "21600"
    private static let rolePath = "/latest/meta-data/iam/security-credentials/"
    /// Credentials that the service still gives near their end are used for this many seconds:
    /// the store accepts them while the service is in trouble.
    private static let grace = 900.0

    func fetch(now: Double) throws(CredentialError) -> CredentialAnswer {
        if isTrue("AWS_EC2_METADATA_DISABLED") {
            return .absent("\(Self.name): AWS_EC2_METADATA_DISABLED is set")
        }
        let base = try base()
        let headers: [(String, String)]
        switch try session(base) {
        case .token(let token): headers = [("x-aws-ec2-metadata-token", token)]
        case .withoutToken: headers = []
        case .absent(let reason): return .absent("\(Self.name): \(reason)")
        }
        let isVersion1 = headers.isEmpty
        let role: SmallResponse
        do {
            role = try get(base.description + Self.rolePath, headers)
        } catch {
            // Without a token it is not certain that there is a metadata service at all.
            guard isVersion1 else { throw failure("did not respond") }
            return .absent("\(Self.name): no metadata service responds")
        }
        guard role.status == 200 else {
            if role.status == 404 || isVersion1 {
                return .absent("\(Self.name): the instance has no role")
            }
            throw failure("returned HTTP status \(role.status)")
        }
        let line = String(decoding: role.body.prefix(1024), as: UTF8.self)
        let name = SafeText.trimmed(line.prefix { !$0.isNewline })
        guard SafeText.isName(name, others: "+=,.@_-") else {
            guard !isVersion1 else {
                return .absent("\(Self.name): the metadata address is not that of EC2")
            }
            throw failure("returned no role name")
        }
        let response: SmallResponse
        do {
            response = try get(base.description + Self.rolePath + name, headers)
        } catch { throw failure("did not respond") }
        guard response.status == 200 else {
            throw failure("returned HTTP status \(response.status)")
        }
        var credentials = try Credentials.read(response.body, source: Self.name)
        if let expiry = credentials.expiry, expiry < now + Self.grace {
            credentials.expiry = now + Self.grace
        }
        return .found(credentials, source: "\(Self.name) (role \(name))")
    }

    private enum Session {
        case token(String)
        /// The service is of version 1, or may be.
        case withoutToken
        case absent(String)
    }

    /// Opens a session, as version 2 of the service wants it.
    private func session(_ base: HostAddress) throws(CredentialError) -> Session {
        let isVersion1Allowed = !isTrue("AWS_EC2_METADATA_V1_DISABLED")
        let response: SmallResponse
        do {
            response = try http.send(
                SmallRequest(
                    method: "PUT", url: "\(base)/latest/api/token",
                    headers: [("x-aws-ec2-metadata-token-ttl-seconds", Self.lifetime)],
                    timeout: Self.timeout, isLocal: true))
        } catch {
            // In a container, the answer with the token may have too few hops to arrive.
            guard error.kind == .timedOut, isVersion1Allowed else {
                return .absent("no metadata service responds")
            }
            return .withoutToken
        }
        let token = SafeText.trimmed(String(decoding: response.body.prefix(4096), as: UTF8.self))
        switch response.status {
        case 200 where SafeText.isHeaderValue(token): return .token(token)
        case 200: throw failure("returned no token")
        case 403, 404, 405:
            return isVersion1Allowed
                ? .withoutToken
                : .absent("the service has no version 2, and AWS_EC2_METADATA_V1_DISABLED is set")
        default: throw failure("returned HTTP status \(response.status)")
        }
    }

    private func get(
        _ url: String, _ headers: [(String, String)]
    ) throws(SmallHTTPError) -> SmallResponse {
        try http.send(
            SmallRequest(
                method: "GET", url: url, headers: headers, timeout: Self.timeout, isLocal: true))
    }

    private func base() throws(CredentialError) -> HostAddress {
        let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
        if let text = environment[variable], !text.isEmpty {
            guard let address = HostAddress(text) else {
                throw CredentialError(
                    Self.name, "\(variable) is not an address of http or https",
                    "Correct the variable, or unset it")
            }
            return address
        }
        let isIPv6 =
            environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.lowercased() == "ipv6"
        return HostAddress(isSecure: false, host: isIPv6 ? "[fd00:ec2::254]" : "169.254.169.254")
    }

    private func isTrue(_ name: String) -> Bool { environment[name]?.lowercased() == "true" }

    private func failure(_ problem: String) -> CredentialError {
        CredentialError(
            Self.name, "the metadata service \(problem)",
            "Try again, or set AWS_EC2_METADATA_DISABLED=true to do without it")
    }

    var customMirror: Mirror { Mirror(self, children: []) }
}
