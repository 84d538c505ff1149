internal import Glibc

/// Runs a program for its output: without input, and with its messages thrown away, because they
/// may hold secrets.
enum ChildProcess {
    /// A program that gave no output.
    enum Failure: Error, Equatable {
        /// The program could not be started; the error number.
        case notStarted(Int32)
        case timedOut
        case tooLarge
        /// The exit status; nil if a signal ended it.
        case failed(status: Int32?)
    }

    /// Runs a program until it ends.
    ///
    /// - Parameters:
    ///   - words: the program, which is looked for in PATH, and its arguments.
    ///   - environment: the variables of the program.
    ///   - timeout: seconds after which the program and its children are killed.
    ///   - sizeMax: the greatest size of the output in bytes.
    /// - Returns: the output.
    /// - Throws: `Failure` if the program cannot be started, fails, or exceeds a limit.
    static func output(
        of words: [String], environment: [String: String], timeout: Double, sizeMax: Int
    ) throws(Failure) -> [UInt8] {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw .notStarted(errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let (readEnd, writeEnd) = (ends[0], ends[1])
        defer { close(readEnd) }
        let start = spawn(words, environment, output: writeEnd)
        close(writeEnd)
        guard start.error == 0 else { throw .notStarted(start.error) }
        let deadline = now() + timeout
        var bytes: [UInt8] = []
        do throws(Failure) {
            bytes = try readAll(readEnd, until: deadline, sizeMax: sizeMax)
            let status = try wait(start.id, until: deadline)
            if let status, status != 0 {
                throw Failure.failed(status: status & 0x7f == 0 ? status >> 8 & 0xff : nil)
            }
        } catch {
            if error == .timedOut || error == .tooLarge {
                // The program leads a group of its own, so this ends its children as well.
                kill(-start.id, SIGKILL)
                var status: Int32 = 0
                while unsafe waitpid(start.id, &status, 0) < 0, errno == EINTR {}
            }
            throw error
        }
        return bytes
    }

    private static func spawn(
        _ words: [String], _ environment: [String: String], output: Int32
    ) -> (id: pid_t, error: Int32) {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // The calling thread may block all signals, and the process may ignore some.
        var (none, usual) = (sigset_t(), sigset_t())
        unsafe sigemptyset(&none)
        unsafe sigemptyset(&usual)
        for signal in [SIGPIPE, SIGTERM, SIGINT, SIGCHLD] { unsafe sigaddset(&usual, signal) }
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &usual)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        unsafe posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
        var variables = unsafe environment.map { unsafe strdup("\($0)=\($1)") } + [nil]
        defer { unsafe (arguments + variables).forEach { unsafe free($0) } }
        guard let program = words.first else { return (0, ENOENT) }
        var id: pid_t = 0
        let error = unsafe posix_spawnp(
            &id, program, &actions, &attributes, &arguments, &variables)
        return (id, error)
    }

    private static func readAll(
        _ descriptor: Int32, until deadline: Double, sizeMax: Int
    ) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let left = deadline - now()
            guard left > 0 else { throw .timedOut }
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = unsafe poll(&waiting, 1, Int32((min(left, 3600) * 1000).rounded(.up)))
            guard ready > 0 else { continue }
            let count = unsafe read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= sizeMax else { throw .tooLarge }
        }
    }

    /// Waits for the end of the program. Returns its status; nil if the process throws away the
    /// status of its children.
    private static func wait(_ id: pid_t, until deadline: Double) throws(Failure) -> Int32? {
        while true {
            var status: Int32 = 0
            let ended = unsafe waitpid(id, &status, WNOHANG)
            if ended == id { return status }
            if ended < 0, errno != EINTR { return nil }
            guard now() < deadline else { throw .timedOut }
            usleep(2000)
        }
    }

    /// Returns the seconds of a clock that never goes back.
    private static func now() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
