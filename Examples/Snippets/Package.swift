// swift-tools-version: 6.2
import PackageDescription

// The Swift code of the README and of the articles. `Tools/outside` puts the code beside
// Prelude.swift and builds it, and runs the first loop.
let package = Package(
    name: "Snippets",
    dependencies: [.package(name: "ckpt", path: "../..")],
    targets: [
        .target(
            name: "Snippets",
            dependencies: [
                .product(name: "Checkpointing", package: "ckpt"),
                .product(name: "CheckpointDevices", package: "ckpt"),
                .product(name: "CheckpointMaintenance", package: "ckpt"),
                .product(name: "CheckpointObjects", package: "ckpt"),
                .product(name: "CheckpointInterchange", package: "ckpt"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6)]),
        // The loop of the README, which is run: extract.py writes its main.swift.
        .executableTarget(
            name: "Loop", dependencies: [.product(name: "Checkpointing", package: "ckpt")],
            swiftSettings: [.swiftLanguageMode(.v6)]),
    ]
)
