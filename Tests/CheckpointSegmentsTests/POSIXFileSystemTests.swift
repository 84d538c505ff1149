import CheckpointIO
import CheckpointTestSupport
import Foundation
import SystemPackage
import Testing

@Suite("POSIX file system", .timeLimit(.minutes(20)))
struct POSIXFileSystemTests {
    private let files = POSIXFileSystem()

    /// A link whose target is missing has a name that mkdir(2) refuses and stat(2) does not find,
    /// as a directory that another machine has just made.
    private func danglingLink(
        in directory: TemporaryDirectory
    ) throws -> (link: FilePath, target: String) {
        let link = directory.appending("link")
        let target = directory.appending("target")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
        return (FilePath(link), target)
    }

    @Test("A directory that exists and is not seen yet is waited for")
    func directoryThatAppears() throws {
        let directory = try TemporaryDirectory()
        let (link, target) = try danglingLink(in: directory)
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: 0.2)
            try? FileManager.default.createDirectory(
                atPath: target, withIntermediateDirectories: false)
        }
        try files.makeDirectory(link)
        #expect(try files.kind(of: link) == .directory)
    }

    @Test("A directory that is never seen is an error, within seconds")
    func directoryThatStaysMissing() throws {
        let directory = try TemporaryDirectory()
        let (link, _) = try danglingLink(in: directory)
        let start = ContinuousClock.now
        #expect(throws: FileSystemError.self) { try files.makeDirectory(link) }
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test("A file in the place of a directory is an error at once")
    func fileInItsPlace() throws {
        let directory = try TemporaryDirectory()
        let path = directory.appending("file")
        try Data().write(to: URL(filePath: path))
        #expect {
            try files.makeDirectory(FilePath(path))
        } throws: {
            ($0 as? FileSystemError)?.errno == .fileExists
        }
    }
}
