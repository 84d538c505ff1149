import FuzzTargets
import Glibc

/// What libFuzzer calls, millions of times. The target is named in the environment.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    unsafe target.run(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}

private let target: FuzzTarget = {
    guard let name = unsafe getenv("CKPT_FUZZ_TARGET"), let target = unsafe FuzzTarget(rawValue: String(cString: name)) else {
        fatalError("CKPT_FUZZ_TARGET names no target")
    }
    return target
}()
