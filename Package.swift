// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

let package = Package(
    name: "ckpt",
    products: [
        .library(name: "Checkpointing", targets: ["Checkpointing"]),
        .library(name: "CheckpointStorage", targets: ["CheckpointStorage"]),
        .library(name: "CheckpointMaintenance", targets: ["CheckpointMaintenance"]),
        .library(name: "CheckpointInterchange", targets: ["CheckpointInterchange"]),
        .library(name: "CheckpointObjects", targets: ["CheckpointObjects"]),
        .library(name: "CheckpointDevices", targets: ["CheckpointDevices"]),
        .library(name: "checkpoint", type: .dynamic, targets: ["CheckpointCABI"]),
        .executable(name: "ckpt", targets: ["ckpt"]),
    ],
    traits: [
        .trait(name: "ObjectStorage", description: "libcheckpoint.so opens stores in object storage, and mirrors stores."),
        .default(enabledTraits: ["ObjectStorage"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        // Of CheckpointObjects alone.
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-crypto", "3.12.0"..<"5.0.0"),
    ],
    targets: [
        // Libraries, from the bottom up. The arrows are checked by Tools/tidy and by
        // `--explicit-target-dependency-import-check error`.
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CKernels"),
        .target(name: "CPlatform"),
        .target(name: "CGuard"),
        .target(name: "CheckpointFormat", swiftSettings: strict),
        .target(name: "CheckpointSharding", dependencies: ["CheckpointFormat"], swiftSettings: strict),
        .target(
            name: "CheckpointCodecs",
            dependencies: ["CheckpointFormat", "CKernels", "CLZ4", "CZstd"], swiftSettings: strict),
        .target(name: "CheckpointIO", dependencies: ["CPlatform", system], swiftSettings: strict),
        .target(
            name: "CheckpointSegments",
            dependencies: ["CheckpointFormat", "CheckpointIO", "CheckpointCodecs", system], swiftSettings: strict),
        .target(
            name: "CheckpointCatalog",
            dependencies: [
                "CheckpointFormat", "CheckpointCodecs", system, .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: strict),
        .target(
            name: "CheckpointState",
            dependencies: ["CheckpointFormat", "CheckpointSharding", "CheckpointCodecs"],
            swiftSettings: strict),
        .target(
            name: "CheckpointExchange",
            dependencies: ["CheckpointFormat", "CheckpointIO", "CheckpointState", "CZlib", system], swiftSettings: strict),
        .target(name: "CheckpointGuard", dependencies: ["CGuard", "CheckpointIO"], swiftSettings: strict),
        .target(
            name: "CheckpointStorage",
            dependencies: [
                "CheckpointFormat", "CheckpointSharding", "CheckpointCodecs", "CheckpointIO",
                "CheckpointSegments", "CheckpointCatalog", "CheckpointState", system,
            ],
            swiftSettings: strict),
        .target(
            name: "CheckpointMaintenance",
            dependencies: [
                "CheckpointStorage", "CheckpointFormat", "CheckpointCodecs", "CheckpointIO",
                "CheckpointSegments", "CheckpointState", system,
            ],
            swiftSettings: strict),
        .target(
            name: "Checkpointing",
            dependencies: [
                "CheckpointStorage", "CheckpointFormat", "CheckpointSharding", "CheckpointCodecs",
                "CheckpointIO", "CheckpointSegments", "CheckpointState", "CheckpointGuard",
                system, logging,
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .target(
            name: "CheckpointInterchange",
            dependencies: [
                "Checkpointing", "CheckpointStorage", "CheckpointExchange", "CheckpointFormat",
                "CheckpointCodecs", "CheckpointIO", "CheckpointSegments", "CheckpointState",
                system, logging,
            ],
            swiftSettings: strict),

        // Stores in object storage. What does not name this target builds without HTTP.
        .target(
            name: "CheckpointObjects",
            dependencies: [
                "CheckpointMaintenance", "CheckpointStorage", "CheckpointSegments", "CheckpointIO",
                "CheckpointCodecs", "CheckpointFormat", system,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),

        .target(
            name: "CheckpointDevices", dependencies: ["CheckpointState", "CheckpointIO", "CheckpointCodecs"], swiftSettings: strict),
        // The C interface. Its header is written by hand; the compiler checks the functions against it.
        .target(name: "CCheckpoint"),
        .target(
            name: "CheckpointCABI",
            dependencies: [
                "CCheckpoint", "Checkpointing", "CheckpointMaintenance", "CheckpointStorage", "CheckpointFormat",
                "CheckpointDevices", "CheckpointSharding", "CheckpointState", "CheckpointIO", logging,
                .target(name: "CheckpointObjects", condition: .when(traits: ["ObjectStorage"])),
            ],
            swiftSettings: strict),

        // Tests of the layers, from the bottom up.
        .testTarget(
            name: "CheckpointFormatTests", dependencies: ["CheckpointFormat", "CheckpointCodecs", "CheckpointTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "CheckpointShardingTests", dependencies: ["CheckpointSharding", "CheckpointFormat", "CheckpointTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "CheckpointCodecsTests", dependencies: ["CheckpointFormat", "CheckpointCodecs", "CheckpointTestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "CheckpointStateTests",
            dependencies: [
                "CheckpointFormat", "CheckpointCodecs", "CheckpointSharding", "CheckpointState",
                "CheckpointTestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CheckpointExchangeTests",
            dependencies: [
                "CheckpointExchange", "CheckpointFormat", "CheckpointIO", "CheckpointState", "CheckpointCodecs",
                "CheckpointTestSupport", system,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CheckpointGuardTests",
            dependencies: ["CheckpointGuard", "CheckpointIO", "CheckpointTestSupport"], swiftSettings: strict),
        .testTarget(
            name: "CheckpointSegmentsTests",
            dependencies: [
                "CheckpointFormat", "CheckpointCodecs", "CheckpointIO", "CheckpointSegments", "CheckpointTestSupport", system,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "FormatVectorTests",
            dependencies: [
                "CheckpointFormat", "CheckpointCodecs", "CheckpointIO", "CheckpointSegments", "CheckpointCatalog",
                "CheckpointState", "Checkpointing",
                "CheckpointTestSupport",
            ],
            swiftSettings: strict),

        // The reference trainer.
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .target(
            name: "ReferenceModel",
            dependencies: [
                "CMPI", "COpenBLAS", "CheckpointState", "CheckpointSharding", "CheckpointFormat",
            ],
            path: "Examples/ReferenceTrainer/Model",
            swiftSettings: strict),
        .target(name: "CMPI", path: "Examples/ReferenceTrainer/MPI"),
        .executableTarget(
            name: "ReferenceTrainer",
            dependencies: [
                "Checkpointing", "CheckpointObjects", "ReferenceModel", logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Examples/ReferenceTrainer/App", swiftSettings: strict),
        .testTarget(
            name: "ReferenceModelTests", dependencies: ["ReferenceModel", "CheckpointSharding"],
            swiftSettings: strict),

        // Tools.
        .executableTarget(
            name: "ckpt",
            dependencies: [
                "CheckpointBench", "Checkpointing", "CheckpointStorage", "CheckpointMaintenance",
                "CheckpointInterchange", "CheckpointObjects",
                system, .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tools/ckpt", swiftSettings: strict),
        .testTarget(
            name: "CkptTests",
            dependencies: [
                "ckpt", "ReferenceTrainer",
                "CheckpointBench", "Checkpointing", "CheckpointMaintenance", "CheckpointInterchange", "CheckpointExchange",
                "CheckpointFormat", "CheckpointCodecs", "CheckpointState", "CheckpointCatalog", "CheckpointIO",
                "CheckpointTestSupport", system,
            ],
            exclude: ["Golden", "torch_files.py"], swiftSettings: strict),
        .target(name: "TidyRules", path: "Tools/tidy/Rules", swiftSettings: strict),
        .target(name: "CBaseline", path: "Tools/bench/Baseline"),
        .target(
            name: "CheckpointBench",
            dependencies: [
                "CBaseline", "CheckpointFormat", "CheckpointCodecs", "CheckpointIO", "CheckpointState", "Checkpointing", system,
                logging,
            ],
            path: "Tools/bench/Library", swiftSettings: strict),
        .testTarget(
            name: "CheckpointBenchTests",
            dependencies: [
                "CBaseline", "CheckpointBench", "CheckpointCodecs", "CheckpointFormat",
                "CheckpointIO", "CheckpointState", system,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "crashsim",
            dependencies: [
                "Checkpointing", "CheckpointMaintenance", "CheckpointObjects", "CheckpointIO",
                "CheckpointTestSupport", system, logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tools/crashsim", swiftSettings: strict),
        .executableTarget(
            name: "ranksim",
            dependencies: [
                "CheckpointStorage", "CheckpointSegments", "CheckpointSharding", "CheckpointState",
                "CheckpointFormat", "CheckpointCodecs", "CheckpointIO", "CheckpointTestSupport",
                system, .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tools/ranksim", exclude: ["README.md"], swiftSettings: strict),
        .executableTarget(
            name: "tidy", dependencies: ["TidyRules"], path: "Tools/tidy/Command", swiftSettings: strict),
        .testTarget(name: "TidyTests", dependencies: ["TidyRules"], swiftSettings: strict),

        // Tests of the engine, with fakes that several test targets share.
        .target(
            name: "CheckpointTestSupport",
            dependencies: [
                "CheckpointFormat", "CheckpointSharding", "CheckpointCodecs", "CheckpointIO",
                "CheckpointSegments", "CheckpointState", "CheckpointDevices", system,
            ],
            path: "Tests/CheckpointTestSupport", swiftSettings: strict),
        .target(
            name: "CheckpointingTestSupport",
            dependencies: [
                "Checkpointing", "CheckpointStorage", "CheckpointIO",
                "CheckpointTestSupport", system, logging,
            ],
            path: "Tests/CheckpointingTestSupport", swiftSettings: strict),
        .testTarget(
            name: "CheckpointStorageTests",
            dependencies: [
                "Checkpointing", "CheckpointStorage", "CheckpointMaintenance", "CheckpointCatalog",
                "CheckpointCodecs", "CheckpointFormat", "CheckpointIO", "CheckpointSegments",
                "CheckpointSharding", "CheckpointState", "CheckpointTestSupport",
                "CheckpointingTestSupport", system,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CheckpointMaintenanceTests",
            dependencies: [
                "Checkpointing", "CheckpointStorage", "CheckpointMaintenance", "CheckpointCatalog",
                "CheckpointCodecs", "CheckpointFormat", "CheckpointIO", "CheckpointSegments",
                "CheckpointState", "CheckpointTestSupport", "CheckpointingTestSupport", system,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CheckpointingTests",
            dependencies: [
                "Checkpointing", "CheckpointStorage", "CheckpointMaintenance",
                "CheckpointCodecs", "CheckpointFormat", "CheckpointIO", "CheckpointDevices",
                "CheckpointGuard", "CheckpointSegments", "CheckpointSharding", "CheckpointState",
                "CheckpointTestSupport",
                "CheckpointingTestSupport", system, logging,
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CheckpointObjectsTests",
            dependencies: [
                "ckpt", "ReferenceTrainer",
                "CheckpointObjects", "Checkpointing", "CheckpointStorage", "CheckpointMaintenance",
                "CheckpointFormat", "CheckpointIO", "CheckpointTestSupport", "CheckpointingTestSupport", system,
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: strict),
        .target(
            name: "FuzzTargets", dependencies: ["CheckpointFormat", "CheckpointCodecs"], path: "Tests/Fuzzing/Targets",
            swiftSettings: strict),
        .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: strict),
        .target(name: "CFakeCUDA", path: "Tests/FakeCUDA"),
        .testTarget(
            name: "CheckpointDevicesTests",
            dependencies: [
                "CFakeCUDA", "Checkpointing", "CheckpointCodecs", "CheckpointDevices",
                "CheckpointState", "CheckpointTestSupport", system, logging,
            ],
            swiftSettings: strict),
        .target(name: "AllocationCounter", path: "Tests/AllocationProbe/Counter"),
        .executableTarget(
            name: "AllocationProbe",
            dependencies: [
                "AllocationCounter", "Checkpointing", "CheckpointCodecs",
                "CheckpointFormat", "CheckpointIO", "CheckpointTestSupport",
            ],
            path: "Tests/AllocationProbe/Program", swiftSettings: strict),
        .testTarget(
            name: "CheckpointCABITests", dependencies: ["CheckpointTestSupport"], swiftSettings: strict),
        .executableTarget(
            name: "RankProgram",
            dependencies: [
                "Checkpointing", "CheckpointObjects", "CheckpointIO", "CheckpointTestSupport", system, logging,
            ],
            path: "Tests/RankProgram", swiftSettings: strict),
        .testTarget(
            name: "TrainerTests",
            dependencies: [
                "Checkpointing", "CheckpointStorage", "CheckpointMaintenance", "CheckpointCodecs",
                "CheckpointFormat", "CheckpointIO", "CheckpointObjects", "CheckpointSegments",
                "CheckpointTestSupport", "ReferenceTrainer", "RankProgram", "ranksim", system,
            ],
            swiftSettings: strict),
    ],
    cLanguageStandard: .c11
)
