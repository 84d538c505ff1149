public import CheckpointStorage
internal import Foundation

/// A look at a place in a bucket, as a program would find it: the settings and where they come
/// from, whether the credentials are accepted, and what the object store can do.
public struct BucketExamination: Sendable {
    /// A setting: its name, its value, and where it was found.
    public struct Setting: Sendable, Equatable {
        /// Name of the setting.
        public var name: String
        /// The value, without secrets.
        public var value: String
        /// Where it was found: "AWS_REGION", "default".
        public var source: String
    }

    /// The settings, without secrets.
    public private(set) var settings: [Setting] = []
    /// Seconds by which the store's clock is ahead of this machine's; nil if there was no answer.
    public private(set) var clockSkew: Double?
    /// True if there is a store at the location; nil if that could not be found out.
    public private(set) var holdsStore: Bool?
    /// True if the object store keeps `If-None-Match: *` also when several create at the same
    /// time; nil if it was not tried.
    public private(set) var keepsCondition: Bool?
    /// How the object store shows that it has received what was sent; nil if it was not tried.
    public private(set) var transferCheck: TransferCheck?
    /// Problems that keep the bucket from being used, with what to do; empty if there are none.
    public private(set) var problems: [CheckpointError] = []

    /// Examines a location.
    ///
    /// - Parameters:
    ///   - location: the bucket and the prefix.
    ///   - tries: whether a few small objects are created and removed, to find out whether
    ///     checkpoints can be saved there.
    public init(of location: S3Location, tries: Bool) {
        let connection: S3Connection
        do { connection = try S3Connection(to: location) } catch {
            problems.append(error)
            return
        }
        settings = connection.settings.report.map {
            Setting(name: $0.name, value: $0.value, source: $0.source)
        }
        do throws(ObjectStoreError) {
            // A look at one object does not tell whether the bucket is there.
            _ = try connection.objects.list("", limit: 1)
            holdsStore = try connection.objects.size(of: "store.json") != nil
            clockSkew = connection.client.clockSkew
            if tries {
                transferCheck = try connection.objects.bestTransferCheck()
                try connection.probe()
                keepsCondition = true
            }
        } catch {
            if error.kind == .unsupported, transferCheck != nil { keepsCondition = false }
            problems.append(CheckpointError(error, in: location.description))
        }
        settings.append(
            Setting(
                name: "credentials",
                value: connection.credentials == nil ? "none: requests are not signed" : "found",
                source: connection.credentials?.source ?? connection.settings.isAnonymous.source))
        if let skew = clockSkew, abs(skew) > 300 {
            problems.append(
                CheckpointError(
                    .misuse, "this machine's clock differs from the store's by \(Int(skew)) s",
                    remedy: "Set the clock: other programs may be refused (ckpt corrects itself)"))
        }
    }
}
