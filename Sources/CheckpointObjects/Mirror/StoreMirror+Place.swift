extension StoreMirror {
    /// The place of a mirror.
    public enum Place: Sendable {
        case directory(String)
        case bucket(S3Location)

        /// Reads a place as people write it.
        ///
        /// - Parameter text: a path, or `s3://BUCKET/PREFIX`.
        /// - Returns: nil if it begins with `s3://` and is no location.
        public init?(_ text: String) {
            guard S3Location.isMeant(by: text) else {
                self = .directory(text)
                return
            }
            guard let location = S3Location(text) else { return nil }
            self = .bucket(location)
        }
    }
}
