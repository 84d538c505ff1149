/// The software's own version.
public enum Version {
    /// As in the changelog.
    public static let number = "0.1.0"
    /// How manifests name their writer.
    package static let writer = "ckpt \(number)"
}
