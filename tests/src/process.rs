//! Processes that a test starts, and waiting for what they do.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A process of the test's own, which ends with it.
#[derive(Debug)]
pub struct Running(Option<Child>);

impl Running {
    /// Starts it. It minds SIGHUP, also where the tests were started not to (nohup).
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        // SAFETY: the child calls nothing else before it executes its program.
        #[expect(unsafe_code, reason = "a signal's default")]
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                Ok(())
            });
        }
        Self(Some(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{command:?}: {error}")),
        ))
    }

    /// Starts a window of the plugin's and waits until it says that it is open.
    ///
    /// # Panics
    /// When it can't be started, or ends without saying so.
    #[must_use]
    pub fn start_window(command: &mut Command) -> Self {
        let mut plugin = Self::start(command.arg("--verbose").stderr(Stdio::piped()));
        let child = plugin.0.as_mut().expect("just started");
        let stderr = child.stderr.take().expect("a pipe");
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Read to its end also when nobody listens any more.
                let _ = say.send(line);
            }
        });
        let mut lines = Vec::new();
        loop {
            match said.recv_timeout(Duration::from_mins(1)) {
                Ok(line) if line.starts_with("capturing") => return plugin,
                Ok(line) => lines.push(line),
                Err(error) => panic!("{command:?}: no window: {error}: {}", lines.join("\n")),
            }
        }
    }

    /// Its process id.
    ///
    /// # Panics
    /// Never: it is taken only when it is waited for.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.as_ref().expect("not waited for").id()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has been waited for.
    pub fn signal(&self, signal: libc::c_int) {
        let pid = i32::try_from(self.id()).expect("a process id");
        // SAFETY: a child of ours that was not waited for yet, so the number is still its own.
        #[expect(unsafe_code, reason = "kill")]
        let result = unsafe { libc::kill(pid, signal) };
        assert_eq!(result, 0, "kill {pid}");
    }

    /// Waits for its end; kills it, and fails, when that takes longer.
    ///
    /// # Panics
    /// When it takes longer.
    #[must_use]
    pub fn wait(mut self, at_most: Duration) -> ExitStatus {
        let deadline = Instant::now() + at_most;
        let child = self.0.as_mut().expect("not waited for");
        loop {
            if let Some(status) = child.try_wait().expect("a child of ours") {
                self.0 = None;
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "a process did not end within {at_most:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until a condition gives something.
///
/// # Panics
/// When it gives nothing in time.
pub fn wait_for<T>(what: &str, at_most: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + at_most;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "gave up waiting for {what} after {at_most:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Keeps the calling thread on one CPU.
///
/// # Panics
/// When that CPU is not there.
pub fn run_on(cpu: usize) {
    // SAFETY: an empty set is a valid one; CPU_SET checks the index.
    #[expect(unsafe_code, reason = "sched_setaffinity")]
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    assert_eq!(result, 0, "sched_setaffinity");
}

/// Sends a signal, such as `STOP`, to a process that a test started, or to a child of one.
///
/// # Panics
/// When there is no such process.
pub fn signal(pid: impl std::fmt::Display, signal: &str) {
    let status = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status()
        .expect("kill");
    assert!(status.success(), "kill -{signal} {pid}");
}
