/// Role of an object in the training loop. `ckpt inspect` uses the roles to decide whether a
/// checkpoint has everything that a resume needs.
public enum ObjectRole: String, Sendable, CaseIterable, Hashable {
    case rng, data, schedule, optimizer, config, other
}
