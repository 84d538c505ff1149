/// A target whose files outside the rooms may use the rooms; circles through "." then count like
/// any other.
struct RoomFacade {
    /// The name of the target.
    let target: String
    /// Why its files directly in the folder come on top.
    let reason: String

    /// The file that the rows are in.
    static let file = "Tools/tidy/Rules/RoomFacade.swift"
}

/// The facades.
let roomFacades: [RoomFacade] = [
    RoomFacade(
        target: "CheckpointCodecs", reason: "CodecRegistry and Compression choose among the codecs"),
    RoomFacade(target: "CheckpointExchange", reason: "ForeignReader chooses among the formats"),
    RoomFacade(target: "Checkpointing", reason: "Checkpointer puts the parts together"),
    RoomFacade(target: "ckpt", reason: "Ckpt lists the subcommands"),
]
