internal import CheckpointObjects
import Checkpointing

/// Diagnoses a place in a bucket, whether or not a store is there.
struct BucketDiagnosis {
    private let location: S3Location
    private let tries: Bool

    /// Creates a diagnosis; sends nothing.
    ///
    /// - Parameters:
    ///   - location: the bucket and the prefix.
    ///   - tries: whether objects are created and removed.
    init(_ location: S3Location, tries: Bool) { (self.location, self.tries) = (location, tries) }

    func run() -> Diagnosis {
        let found = BucketExamination(of: location, tries: tries)
        let what =
            switch found.holdsStore {
            case true?: "A ckpt store in a bucket."
            case false?: "A location in a bucket without a ckpt store."
            case nil: "A location in a bucket that cannot be examined."
            }
        var diagnosis = Diagnosis(found.holdsStore == true ? .store : .bucket, what)
        diagnosis.facts = found.settings.map { "\($0.name): \($0.value) (\($0.source))" }
        if let skew = found.clockSkew {
            // The object store's clock is known to a second, and its answer was under way.
            diagnosis.facts.append(
                abs(skew) < 2
                    ? "clock: agrees with the object store's clock"
                    : "clock: differs by \(Output.figure(abs(skew))) s from the object store's clock")
        }
        if let check = found.transferCheck {
            diagnosis.facts.append("checksums: \(check.text)")
        }
        if let keeps = found.keepsCondition {
            diagnosis.facts.append(
                "conditional writes: " + (keeps ? "work, also concurrently" : "do not work"))
        }
        diagnosis.problems = found.problems.map(\.message)
        diagnosis.advice = found.problems.compactMap(\.remedy)
        if found.problems.isEmpty {
            if found.holdsStore == true { diagnosis.advice.append("ckpt ls \(location)") }
            if !tries {
                diagnosis.advice.append("ckpt doctor \(location) --try   # can checkpoints be saved here?")
            }
        }
        return diagnosis
    }
}
