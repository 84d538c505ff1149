@testable internal import CheckpointGuard
internal import Glibc
internal import Testing

/// What a machine that cannot guard memory is told, without such a machine.
@Suite(.timeLimit(.minutes(20)))
struct GuardErrorTests {
    @Test func noPrivileges() {
        for (call, device) in [(EPERM, ENOENT), (EPERM, EACCES), (ENOSYS, EACCES)] {
            let error = GuardError.opening(systemCall: call, device: device)
            guard case .notPermitted = error else {
                Issue.record("\(error)")
                continue
            }
            for way in ["CAP_SYS_PTRACE", "vm.unprivileged_userfaultfd=1", "/dev/userfaultfd"] {
                #expect(error.description.contains(way))
            }
        }
    }

    @Test func noUserfaultfd() {
        let error = GuardError.opening(systemCall: ENOSYS, device: ENOENT)
        #expect(error == .missing([.userfaultfd]))
        #expect(error.description.contains("lacks userfaultfd (Linux 4.3)"))
    }

    @Test func outOfDescriptors() {
        let error = GuardError.opening(systemCall: EMFILE, device: EMFILE)
        #expect(error == .failed("userfaultfd(2)", nil, errno: EMFILE))
        #expect(error.description.contains("ulimit -n"))
    }

    @Test func olderKernels() {
        let wanted: [GuardFeature] = [.writeProtection, .sharedMemory, .unpopulatedPages, .asynchronousProtection]
        let linux61: UInt64 = 0x1fff
        #expect(GuardFeature.missing(wanted, offered: linux61) == [.unpopulatedPages, .asynchronousProtection])
        #expect(GuardFeature.missing(wanted, offered: 0x1ffff) == [])
        #expect(GuardFeature.missing(wanted, offered: 0) == wanted)
        let text = GuardError.missing([.unpopulatedPages, .asynchronousProtection]).description
        #expect(text.contains("pages never touched (Linux 6.4), asynchronous write protection (Linux 6.7)"))
    }

    @Test func failuresNameThePagesAndTheWayOut() {
        let range = PageRange(start: 0x10000, end: 0x20000)
        let text = GuardError.failed("UFFDIO_REGISTER", range, errno: ENOMEM).description
        #expect(text == "UFFDIO_REGISTER of pages 0x10000-0x20000 failed: Cannot allocate memory; out of memory, or the process has too"
            + " many mappings: raise vm.max_map_count")
    }
}
