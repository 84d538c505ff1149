import ArgumentParser
internal import CheckpointObjects
import Checkpointing

/// STORE on the command line: a directory, or `s3://bucket/prefix`.
enum StoreAddress {
    case directory(String)
    case bucket(S3Location)

    /// Reads an address.
    ///
    /// - Parameter text: what the person has typed.
    /// - Throws: an error of usage if it begins with `s3://` and is no location.
    init(_ text: String) throws {
        guard S3Location.isMeant(by: text) else {
            self = .directory(text)
            return
        }
        guard let location = S3Location(text) else {
            throw ValidationError(
                "\(text) is not the location of a store. Write s3://BUCKET/PREFIX, without empty "
                    + "parts, \".\" or \"..\".")
        }
        self = .bucket(location)
    }

    /// True for a bucket.
    var isInBucket: Bool {
        if case .bucket = self { true } else { false }
    }

    /// Refuses a bucket, for what needs a directory.
    ///
    /// - Parameter verb: name of the command.
    /// - Throws: code `unsupported`.
    func requireDirectory(for verb: String) throws(CheckpointError) {
        guard case .bucket(let location) = self else { return }
        throw CheckpointError(
            .unsupported, "ckpt \(verb) works on directories, and \(location) is a bucket",
            remedy: "Bring the store to a disk with ckpt mirror \(location) DIRECTORY")
    }

    /// The place of a mirror.
    var place: StoreMirror.Place {
        switch self {
        case .directory(let path): .directory(path)
        case .bucket(let location): .bucket(location)
        }
    }

    /// Opens the store, and passes its warnings on to the person.
    ///
    /// - Parameter access: the rights to take.
    /// - Throws: codes as `CheckpointStore.open`.
    func open(for access: CheckpointStore.Access) throws(CheckpointError) -> CheckpointStore {
        switch self {
        case .directory(let path): try .open(path, for: access) { Output.warn($0) }
        case .bucket(let location): try .open(location, for: access) { Output.warn($0) }
        }
    }

    /// Returns true if there is a store.
    ///
    /// - Throws: codes as `CheckpointStore.exists`.
    func exists() throws(CheckpointError) -> Bool {
        switch self {
        case .directory(let path): try CheckpointStore.exists(at: path)
        case .bucket(let location): try CheckpointStore.exists(at: location)
        }
    }
}
