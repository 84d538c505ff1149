// swift-tools-version: 6.2
import PackageDescription

// A separate package: it sees only what the products of the project make public.
let package = Package(
    name: "ReadCheckpoint",
    dependencies: [.package(name: "ckpt", path: "../..")],
    targets: [
        .executableTarget(
            name: "ReadCheckpoint",
            dependencies: [
                .product(name: "CheckpointStorage", package: "ckpt"),
                .product(name: "CheckpointMaintenance", package: "ckpt"),
                .product(name: "CheckpointInterchange", package: "ckpt"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6)])
    ]
)
