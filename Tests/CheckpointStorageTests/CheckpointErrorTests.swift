import CheckpointStorage
import Testing

/// The text of an error.
@Suite(.timeLimit(.minutes(20))) struct CheckpointErrorTests {
    @Test(arguments: [
        ("tensor \"w\" is missing", ["w"], true), ("step 2 has no object w", ["w"], true),
        ("tensor w: too large", ["w"], true), ("/runs/w/segments: it was written", ["w"], false),
        ("damage at offset 8", ["layer.0.weight"], false), ("damage at offset 8", ["offset"], false),
        ("tensors a and b differ", ["a", "b"], true), ("tensor a differs", ["a", "b"], false),
        ("tensor layer.scale differs", ["layer"], false), ("tensor w2 differs", ["w"], false),
        ("no object named ", [""], true), ("tensor /a", ["/a"], true),
    ])
    func namesAreAddedToAMessageWithoutThem(message: String, names: [String], has: Bool) {
        let text = CheckpointError(.mismatch, message, remedy: "Look", names: names).description
        let list = names.joined(separator: ", ")
        #expect(text == message + (has ? "" : " (concerns \(list))") + ". Look")
    }
}
