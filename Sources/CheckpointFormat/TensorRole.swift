/// Role of a tensor in the training loop.
public enum TensorRole: String, Sendable, CaseIterable, Hashable {
    case parameter, optimizer, buffer, other
}
