internal import Foundation

/// A privilege or a program that some tests need and that a machine may lack.
///
/// A test that needs it is skipped on a machine that lacks it. If the environment variable
/// `CKPT_REQUIRE` names it (`CKPT_REQUIRE=guard,mount,python`), the test runs and fails with the
/// reason instead:
///
/// ```swift
/// @Test(.enabled(if: Requirement.mount.isTested, "\(Requirement.mount.reason)"))
/// func fullDisk() throws {
///     try Requirement.mount.check()
/// ```
package struct Requirement: Sendable {
    /// The names that `CKPT_REQUIRE` may hold, separated by commas.
    package enum Name: String, Sendable, CaseIterable {
        /// Watching writes to memory, by userfaultfd(2).
        case `guard`
        /// Mounting a file system in a namespace of its own.
        case mount
        /// `/usr/bin/python3` with the modules of the independent reader.
        case python
        /// A Chromium that shows the page of `ckpt report`.
        case browser
        /// `mpirun` of Open MPI.
        case mpi
        /// An object store: `Tools/object-store` runs the tests beside one.
        case objects
        /// Mounts of a network file system: `Tools/network-mount`, which no test needs.
        case network
    }

    /// A machine lacks what `CKPT_REQUIRE` names.
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    private let name: Name
    /// Why this machine does not meet the requirement; nil if it does.
    private let refusal: String?

    /// - Parameters:
    ///   - name: name in `CKPT_REQUIRE`.
    ///   - refusal: why this machine does not meet the requirement; nil if it does.
    package init(_ name: Name, refusal: String?) {
        self.name = name
        self.refusal = refusal
    }

    /// Whether tests that need it are run: it is met, or required.
    package var isTested: Bool { Self.required.contains(name) || refusal == nil }

    /// Why tests are skipped; empty if the requirement is met.
    package var reason: String { refusal.map { "\(name.rawValue): \($0)" } ?? "" }

    /// Fails a test that runs without what it needs.
    ///
    /// - Throws: `Missing` if this machine does not meet the requirement.
    package func check() throws(Missing) {
        guard let refusal else { return }
        throw Missing(description: "this test needs \"\(name.rawValue)\": \(refusal)")
    }

    /// What `CKPT_REQUIRE` names. If it is not set: what CI promises there, and nothing elsewhere.
    private static let required: Set<Name> = {
        let environment = ProcessInfo.processInfo.environment
        let isCI = environment["CI"] == "true"
        guard let text = environment["CKPT_REQUIRE"] else { return isCI ? [.mount, .python] : [] }
        return Set(
            text.split(separator: ",").map { word in
                guard let name = Name(rawValue: String(word)) else {
                    let names = Name.allCases.map(\.rawValue).joined(separator: ", ")
                    preconditionFailure("CKPT_REQUIRE names \"\(word)\", which is none of \(names)")
                }
                return name
            })
    }()
}

extension Requirement {
    package static let mount = Requirement(
        .mount,
        refusal: refusal("no file system can be mounted in a namespace of its own (unshare -m)") {
            // Tests make it larger, and read-only, which takes more privileges on some machines.
            let script = "mount -o remount,size=40k \"$DISK\" && mount -o remount,ro \"$DISK\""
            return try SmallDisk.run(script, size: "20k", in: TemporaryDirectory())
        })

    package static let python = Requirement(
        .python,
        refusal: refusal("python3-xxhash, python3-zstandard or python3-lz4 is not installed") {
            try runProcess("/usr/bin/python3", ["-c", "import xxhash, zstandard, lz4.block"])
        })

    package static let mpi = Requirement(
        .mpi,
        refusal: refusal("mpirun of Open MPI is not installed (openmpi-bin)") {
            try runProcess("/usr/bin/env", ["mpirun", "--version"])
        })

    /// Returns nil if a program succeeds, otherwise `reason` with what the program says.
    private static func refusal(_ reason: String, _ run: () throws -> ProcessOutcome) -> String? {
        do {
            let outcome = try run()
            guard outcome.status != 0 else { return nil }
            let said = (outcome.output + outcome.errors).split(separator: "\n").last ?? ""
            return "\(reason): \(said)"
        } catch {
            return "\(reason): \(error)"
        }
    }
}
