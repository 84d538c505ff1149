/// The properties of a manifest that decide what its tensors may be.
struct ManifestHead {
    var features: Set<RequiredFeature>
    var worldSize: Int
    var rank: Int
}
