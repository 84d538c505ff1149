/// A circle of rooms that the tree still has.
struct AllowedRoomCircle {
    /// The name of the target.
    let target: String
    /// The rooms in the order of the arrows, starting with the smallest name, as the violation
    /// prints them.
    let rooms: [String]
    /// Why it is not resolved yet.
    let reason: String

    /// The file that the rows are in.
    static let file = "Tools/tidy/Rules/AllowedRoomCircle.swift"

    /// The part of a row that says which circle is meant.
    struct Key: Hashable {
        let target: String
        let rooms: [String]
    }

    /// The circle without its reason.
    var key: Key { Key(target: target, rooms: rooms) }
}

/// A target whose files outside the rooms may use the rooms; circles through "." then count like
/// any other.
struct RoomFacade {
    /// The name of the target.
    let target: String
    /// Why its files directly in the folder come on top.
    let reason: String
}

/// The facades.
let roomFacades: [RoomFacade] = [
    RoomFacade(target: "CheckpointCodecs", reason: "BlockCodec chooses among the codecs"),
    RoomFacade(target: "CheckpointExchange", reason: "ForeignReader chooses among the formats"),
    RoomFacade(target: "Checkpointing", reason: "Checkpointer puts the parts together"),
    RoomFacade(target: "ckpt", reason: "Ckpt lists the subcommands"),
]

// GRANDFATHERED: rows may be removed, never added. A row whose circle is gone is a violation, so it
// cannot linger.

/// The circles of rooms that are allowed for now.
let allowedRoomCircles: [AllowedRoomCircle] = [
    AllowedRoomCircle(target: "CheckpointCodecs", rooms: [".", "Planes"], reason: helpers),
    AllowedRoomCircle(target: "CheckpointExchange", rooms: [".", "Distributed"], reason: helpers),
    AllowedRoomCircle(target: "CheckpointExchange", rooms: [".", "Numpy"], reason: helpers),
    AllowedRoomCircle(target: "CheckpointExchange", rooms: [".", "Safetensors"], reason: helpers),
    AllowedRoomCircle(target: "CheckpointExchange", rooms: [".", "Torch"], reason: helpers),
    AllowedRoomCircle(target: "CheckpointExchange", rooms: [".", "Zip"], reason: helpers),
    AllowedRoomCircle(target: "ckpt", rooms: [".", "Doctor"], reason: helpers),
    AllowedRoomCircle(target: "ckpt", rooms: [".", "Report"], reason: helpers),
]

private let helpers =
    "the helpers that all rooms share lie beside the facade; they need a room of their own"
