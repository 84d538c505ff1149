import CheckpointTestSupport
import Foundation
import Testing

/// Programs in C, compiled against the header and the library that the build has made.
@Suite("C interface", .timeLimit(.minutes(20)))
struct CProgramTests {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    private static let header = root + "/Sources/CCheckpoint/include/checkpoint.h"

    /// The directory of libcheckpoint.so: that of the tests, or that of the build they come from.
    private static let libraries: String = {
        let own = Bundle.main.bundleURL.path
        let isHere = FileManager.default.fileExists(atPath: own + "/libcheckpoint.so")
        return isHere ? own : root + "/.build/debug"
    }()

    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Compiles a program with all warnings as errors, and returns its path.
    private func compile(_ source: String, with others: [String] = []) throws -> String {
        let program = directory.appending("program")
        let outcome = try runProcess(
            "/usr/bin/env",
            [
                "cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-pthread",
                "-I\(Self.root)/Sources/CCheckpoint/include", "\(Self.root)/\(source)",
                "-L\(Self.libraries)", "-lcheckpoint", "-lm", "-Wl,-rpath,\(Self.libraries)",
                "-o", program,
            ] + others)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return program
    }

    /// Compiles the CUDA driver in software as the library that a machine with a GPU has, and
    /// returns its path.
    private func softwareDriver() throws -> String {
        let library = directory.appending("libcuda.so.1")
        let versioned = [
            "cuDevicePrimaryCtxRelease", "cuCtxPushCurrent", "cuCtxPopCurrent", "cuStreamDestroy",
            "cuEventDestroy", "cuMemcpyDtoHAsync", "cuMemcpyHtoDAsync", "cuMemAlloc", "cuMemFree",
            "cuMemHostRegister",
        ]
        let outcome = try runProcess(
            "/usr/bin/env",
            [
                // Its entry points are static, since the tests in Swift ask for them by name.
                "cc", "-std=gnu11", "-O1", "-shared", "-fPIC", "-pthread", "-Dstatic=",
                "-I\(Self.root)/Tests/FakeCUDA/include", "-Wl,-soname,libcuda.so.1",
                "\(Self.root)/Tests/FakeCUDA/fake_cuda.c", "-o", library,
            ] + versioned.map { "-Wl,--defsym=\($0)_v2=\($0)" })
        try #require(outcome.status == 0, "\(outcome.errors)")
        return library
    }

    @Test("every call does what the header says, and refuses what it must")
    func behaviour() throws {
        let program = try compile("Tests/CInterface/behaviour.c")
        let outcome = try runProcess(program, [directory.appending("store")])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == "all is well\n")
    }

    @Test("functions of the program lend, encode and copy, and their failures fail saves alone")
    func functions() throws {
        let program = try compile("Tests/CInterface/functions.c")
        let outcome = try runProcess(program, [directory.appending("store")])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == "all is well\n")
    }

    @Test("several processes save one checkpoint together, and others read any part of it")
    func ranks() throws {
        let program = try compile("Tests/CInterface/ranks.c")
        let outcome = try runProcess(program, [directory.appending("store")])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == "all is well\n")
    }

    @Test("tensors in the memory of a GPU are saved as they were at the save, and restored")
    func cuda() throws {
        let driver = try softwareDriver()
        let program = try compile(
            "Tests/CInterface/cuda.c",
            with: [
                "-I\(Self.root)/Tests/FakeCUDA/include", driver,
                "-Wl,-rpath,\(directory.path)",
            ])
        let outcome = try runProcess(program, [directory.appending("store")])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == "all is well\n")
    }

    @Test("random calls on two threads never end the process")
    func fuzz() throws {
        let program = try compile("Tests/CInterface/fuzz.c")
        let seed = UInt32.random(in: 0...UInt32.max)
        let outcome = try runProcess(program, [directory.path, "\(seed)", "10000"])
        #expect(outcome.status == 0, "seed \(seed): \(outcome.output)\(outcome.errors)")
    }

    @Test("the example trains, dies, resumes, and ends with the same bits")
    func example() throws {
        let program = try compile("Examples/CEmbedding/train.c")
        let whole = try runProcess(program, [directory.appending("whole")])
        #expect(whole.status == 0, "\(whole.errors)")
        let killed = try runProcess(program, [directory.appending("killed"), "550"])
        #expect(killed.status == SIGKILL)
        let resumed = try runProcess(program, [directory.appending("killed")])
        let lines = resumed.output.split(separator: "\n")
        #expect(lines.first?.hasPrefix("resumed at step ") == true, "\(resumed.output)")
        #expect(lines.last.map { "\($0)\n" } == whole.output)
    }

    @Test("the library exports every function of the header")
    func symbols() throws {
        // A debug build exports the functions of Swift, too.
        let outcome = try runProcess(
            Self.root + "/Tools/c-symbols",
            [Self.libraries + "/libcheckpoint.so", Self.header, "^ckpt_"])
        #expect(outcome.status == 0, "\(outcome.output)")
    }

    @Test(
        "the header is clean C and C++",
        arguments: [
            ["-std=c99", "-x", "c"], ["-std=c17", "-x", "c"], ["-std=c++17", "-x", "c++"],
        ])
    func header(_ language: [String]) throws {
        let outcome = try runProcess(
            "/usr/bin/env",
            ["cc", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"] + language
                + [Self.header])
        #expect(outcome.status == 0, "\(outcome.errors)")
    }
}
