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

    private var fullHost: String { isPathStyle ? host : "\(bucket).\(host)" }

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
