/// Addresses of the services of Amazon Web Services.
enum AWSHosts {
    /// Returns the address of S3 in a region.
    ///
    /// - Parameters:
    ///   - region: the region.
    ///   - isDualStack: true for the address with IPv6.
    ///   - isFIPS: true for the address with cryptography after FIPS 140.
    static func s3(region: String, isDualStack: Bool, isFIPS: Bool) -> HostAddress {
        let parts = ["s3" + (isFIPS ? "-fips" : "")] + (isDualStack ? ["dualstack"] : []) + [region]
        return HostAddress(isSecure: true, host: parts.joined(separator: ".") + domain(region))
    }

    /// Returns the address of the Security Token Service in a region.
    ///
    /// - Parameters:
    ///   - region: the region.
    ///   - isFIPS: true for the address with cryptography after FIPS 140.
    static func sts(region: String, isFIPS: Bool) -> HostAddress {
        let name = isFIPS && !region.hasPrefix("us-gov-") ? "sts-fips" : "sts"
        return HostAddress(isSecure: true, host: "\(name).\(region)\(domain(region))")
    }

    private static func domain(_ region: String) -> String {
        region.hasPrefix("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com"
    }
}
