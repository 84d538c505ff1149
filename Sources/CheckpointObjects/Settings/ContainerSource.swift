/// The credentials of a container: Amazon ECS, and EKS Pod Identity.
struct ContainerSource: CredentialSource, CustomReflectable {
    let environment: [String: String]
    let http: any SmallHTTP

    private static let name = "container"
    private static let relative = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
    private static let full = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    private static let host = "http://169.254.170.2"
    /// The services of ECS and EKS, which are asked without TLS.
    private static let knownHosts = [
        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "localhost", "[::1]",
    ]
    private static let timeout = 2.0
    private static let attempts = 2

    func fetch(now: Double) throws(CredentialError) -> CredentialAnswer {
        guard let (variable, url) = try address() else {
            return .absent("\(Self.name): neither \(Self.relative) nor \(Self.full) is set")
        }
        let token = try token()
        let request = SmallRequest(
            method: "GET", url: url,
            headers: [("accept", "application/json")]
                + (token.map { [("authorization", $0)] } ?? []),
            timeout: Self.timeout, isLocal: url.hasPrefix("http://"))
        let response = try send(request, variable: variable, token: token ?? "")
        guard response.status == 200 else {
            throw CredentialError(
                Self.name, "the service in \(variable) returned HTTP status \(response.status)",
                "Check that the task or the pod has a role")
        }
        return .found(
            try Credentials.read(response.body, source: Self.name),
            source: "\(Self.name) (\(variable))")
    }

    private func send(
        _ request: SmallRequest, variable: String, token: String
    ) throws(CredentialError) -> SmallResponse {
        var failure: SmallHTTPError?
        for attempt in 1...Self.attempts {
            do {
                let response = try http.send(request)
                if response.status < 500 || attempt == Self.attempts { return response }
            } catch {
                failure = error
            }
        }
        let text = SafeText.shown(failure?.text ?? "", hiding: [token])
        throw CredentialError(
            Self.name, "the service in \(variable) did not respond: \(text)",
            "Check that the service runs on this node")
    }

    /// Returns the address to ask, and the variable that gave it.
    private func address() throws(CredentialError) -> (variable: String, url: String)? {
        if let path = value(Self.relative) {
            // Without the slash, "@host" would send the request to another host.
            guard path.hasPrefix("/"), path.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
                throw CredentialError(
                    Self.name, "\(Self.relative) is not a path that begins with /",
                    "Correct the variable, or unset it")
            }
            return (Self.relative, Self.host + path)
        }
        guard let url = value(Self.full) else { return nil }
        guard let split = HostAddress.splitScheme(url),
            url.utf8.allSatisfy({ (0x21...0x7e).contains($0) }),
            let (host, _) = HostAddress.hostAndPort(
                split.rest.prefix { !"/?#".contains($0) })
        else {
            throw CredentialError(
                Self.name, "\(Self.full) is not an address of http or https",
                "Correct the variable, or unset it")
        }
        let isLoopback = IPv4.read(host).map { $0 >> 24 == 127 } ?? false
        guard split.isSecure || isLoopback || Self.knownHosts.contains(host) else {
            throw CredentialError(
                Self.name,
                "\(Self.full) is an http address, which ckpt accepts only for local hosts",
                "Use https, or a service on this machine")
        }
        return (Self.full, url)
    }

    /// Returns the value of the header `authorization`. The file is read for each request, because
    /// its token is replaced.
    private func token() throws(CredentialError) -> String? {
        if let file = value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            return try TokenFile.read(file, source: Self.name, sizeMax: 16_384)
        }
        guard let token = value("AWS_CONTAINER_AUTHORIZATION_TOKEN") else { return nil }
        guard SafeText.isHeaderValue(token) else {
            throw CredentialError(
                Self.name,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN has a character that no header can have",
                "Set it again")
        }
        return token
    }

    private func value(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    var customMirror: Mirror { Mirror(self, children: []) }
}
