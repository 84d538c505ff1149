extension S3Settings {
    /// The settings as text for people, without secrets: names, values and places. Settings that
    /// have no value are left out.
    package var report: [(name: String, value: String, source: String)] {
        var lines: [(name: String, value: String, source: String)] = []
        func add<Value>(_ name: String, _ setting: Sourced<Value>?) {
            guard let setting else { return }
            lines.append(
                (name, SafeText.shown("\(setting.value)", hiding: []), setting.source))
        }
        add("region", region)
        add("endpoint", endpoint ?? Sourced(address, source: "AWS, for the region"))
        add(
            "token service",
            tokenServiceEndpoint ?? Sourced(tokenServiceAddress, source: "AWS, for the region"))
        add("addressing style", addressingStyle)
        add("certificates", certificateFile)
        add("proxy for this endpoint", proxySetting)
        add("storage class", storageClass)
        add("encryption", encryption)
        add("requester pays", isRequesterPays)
        add("payload signed", isPayloadSigned)
        add("newer checksums", usesChecksums)
        if isDualStack.value { add("dual stack", isDualStack) }
        if isFIPS.value { add("FIPS", isFIPS) }
        add("attempts", attemptsMax)
        add("anonymous", isAnonymous)
        return lines
    }

    /// The proxy on the way to the store.
    private var proxySetting: Sourced<ProxyAddress>? {
        guard proxy(forHost: address.host, isSecure: address.isSecure) != nil else { return nil }
        return address.isSecure ? proxies.https : proxies.http
    }
}
