/// The address of a bucket.
struct S3Endpoint: Sendable, Equatable {
    var isSecure: Bool
    /// Name or address of the host; with virtual hosts, without the bucket.
    var host: String
    /// Nil for the port of the scheme.
    var port: Int?
    var bucket: String
    /// True if the bucket is in the path, false if it is in the name of the host.
    var isPathStyle: Bool

    /// Creates the address of a bucket of a store.
    ///
    /// - Parameters:
    ///   - address: the store.
    ///   - bucket: name of the bucket.
    ///   - isPathStyle: true if the bucket is in the path.
    init(_ address: HostAddress, bucket: String, isPathStyle: Bool) {
        self.init(
            isSecure: address.isSecure, host: address.host, port: address.port, bucket: bucket,
            isPathStyle: isPathStyle)
    }

    /// Creates the address of a bucket of its parts.
    init(isSecure: Bool, host: String, port: Int?, bucket: String, isPathStyle: Bool) {
        self.isSecure = isSecure
        self.host = host
        self.port = port
        self.bucket = bucket
        self.isPathStyle = isPathStyle
    }

    /// The host that requests for the bucket are sent to.
    var fullHost: String { isPathStyle ? host : "\(bucket).\(host)" }

    /// Value of the header `host`, as it is signed.
    var hostHeader: String { fullHost + (port.map { ":\($0)" } ?? "") }

    /// Scheme, host and port.
    var origin: String { (isSecure ? "https://" : "http://") + hostHeader }

    /// Returns the encoded path of a key; an empty key is the bucket.
    func path(of key: String) -> String {
        let bucket = isPathStyle ? "/\(bucket)" : ""
        return bucket + "/" + PercentEncoding.encode(key, keepsSlashes: true)
    }
}
