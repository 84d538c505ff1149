/// The software's own version.
public enum Version {
    public static let number = "0.1.0"
    /// How manifests name their writer.
    package static let writer = "ckpt \(number)"
}
