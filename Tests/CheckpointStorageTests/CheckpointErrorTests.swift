import CheckpointStorage
import Testing

/// The text of an error.
@Suite(.timeLimit(.minutes(1))) struct CheckpointErrorTests {
    @Test(arguments: [
        ("tensor \"w\" is missing", ["w"], true), ("step 2 has no object w", ["w"], true),
        ("w: too large", ["w"], true), ("it was written", ["w"], false),
        ("damage at offset 8", ["layer.0.weight"], false), ("a and b differ", ["a", "b"], true),
        ("a differs", ["a", "b"], false), ("w2 differs", ["w"], false), ("an object", [""], false),
    ])
    func namesAreAddedToAMessageWithoutThem(message: String, names: [String], has: Bool) {
        let text = CheckpointError(.mismatch, message, remedy: "Look", names: names).description
        let list = names.joined(separator: ", ")
        #expect(text == message + (has ? "" : " (concerns \(list))") + ". Look")
    }
}
