/// Something that a process does with a store until it loses power.
enum Verb: String, CaseIterable {
    /// Saves steps of a run that begins.
    case train
    /// Goes on from the newest checkpoint.
    case resume
    /// Saves, and keeps the newest two checkpoints of its run.
    case expire
    /// Removes what no rule keeps.
    case prune
    /// Removes checkpoints by name.
    case remove
    case repack
    case repair
    /// Pins a checkpoint.
    case pin
    /// Copies all checkpoints to another store.
    case copy
    /// Brings a mirror up to date.
    case mirror

    /// True if it needs the writer's lock.
    var isTraining: Bool { [.train, .resume, .expire].contains(self) }

    /// Those that may be done beside a trainer. What a prune then removes depends on how far the
    /// trainer gets, which is for other tests.
    static let besideTraining: [Verb] = [.remove, .repack, .repair, .pin, .copy, .mirror]
}
