//! `kubectl procmon profile`: one window, one document.

use crate::cluster::connection::Connection;
use crate::cluster::{self, Outcome};
use crate::exit::Code;
use crate::flags::{Masking, Named, ProbePod, Rendering, ThisMachine, Timing, exclude_local};
use crate::output::Output;
use crate::progress::Window as ProgressWindow;
use crate::render::format::OF_PROFILE;
use crate::render::{self, Format, View};
use crate::session;
use anyhow::{Context as _, Result};
use procmon_profile::merge::merge;
use procmon_profile::model::{LabelMode, Profile, Target};
use procmon_profile::rules::{Catalogue, check};
use procmon_profile::wire::{Request, TargetSpec, Window};

/// Capture what a target does, for a fixed time
///
/// System calls, processes, files, network peers, privileges: counted in the kernel, answered as
/// one document, and nothing is left behind.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  kubectl procmon profile deploy/web -n shop --duration 30s
  kubectl procmon profile -l app=web -o json --output-file p.json
  sudo kubectl procmon profile --local -- ./server --once
  sudo kubectl procmon profile --local --as-root -- nginx -t
  sudo kubectl procmon profile --local --pid 4711 --duration 10s
  sudo kubectl procmon profile --local --duration 1m -o json --output-file p.json -- ./server

Exit codes: 0 done, 2 not done, 3 incomplete (with --require-complete), 130 interrupted.
With `-- CMD`, the command's own exit code is passed on. Under sudo, CMD runs as the user that called
sudo, with that user's groups, HOME, USER, LOGNAME and SHELL; `--user USER[:GROUP]` names another,
`--as-root` keeps root.")]
#[command(mut_args(exclude_local))]
#[command(mut_arg("user", |user| user.help("User of the kubeconfig; with `-- CMD`, the USER[:GROUP] that CMD runs as")))]
pub(crate) struct Args {
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// Say more about what goes wrong in the kernel and, without a terminal, when windows open
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten, next_help_heading = "Target")]
    named: Named,
    /// Only this container; with --local its id, or at least the first 12 digits of it
    #[arg(short = 'c', long, value_name = "CONTAINER", help_heading = "Target")]
    container: Option<String>,
    #[command(flatten, next_help_heading = "This machine")]
    machine: ThisMachine,
    #[command(flatten, next_help_heading = "Window")]
    timing: Timing,
    /// Form of the result
    #[arg(short = 'o', long, value_parser = Format::one_of(OF_PROFILE), default_value = "table", value_name = "FORMAT", help_heading = "Output")]
    output: Format,
    #[command(flatten, next_help_heading = "Output")]
    rendering: Rendering,
    #[command(flatten, next_help_heading = "Output")]
    masking: Masking,
    /// Exit with 3 when the profile is not complete
    #[arg(long, help_heading = "Output")]
    require_complete: bool,
    #[command(flatten, next_help_heading = "Probe pod")]
    pod: ProbePod,
    #[command(flatten)]
    connection: Connection,
}

const DEFAULT_SECONDS: f64 = 30.0;

/// Checks what clap cannot say: it forgives an absent `--local` when a target is given, which excludes it.
fn check_usage(args: &Args) -> Result<()> {
    let local_only = [
        ("--pid", args.machine.pid.is_some()),
        ("--cgroup", args.machine.cgroup.is_some()),
        ("-- CMD", !args.machine.argv.is_empty()),
        ("--as-root", args.machine.as_root),
    ];
    if let Some((name, _)) = local_only
        .iter()
        .find(|(_, given)| *given && !args.machine.local)
    {
        return Err(crate::hint::advised(
            format!("`{name}` captures on this machine, not in a cluster"),
            "add `--local` and name no other target, or leave it out",
        ));
    }
    if args.machine.cgroup.as_deref() == Some("") {
        return Err(crate::hint::advised(
            "`--cgroup` is empty",
            "name a cgroup as `systemd-cgls` shows it; `/` is all of the machine",
        ));
    }
    if args
        .named
        .selector
        .as_ref()
        .is_some_and(|selector| selector.trim().is_empty())
    {
        return Err(crate::hint::advised(
            "the selector is empty, which would select every pod",
            "name labels, as in `-l app=web`",
        ));
    }
    // With `-- CMD`, kubectl's `--user` names a user of this machine.
    let of_command = args.machine.local && !args.machine.argv.is_empty();
    if args.machine.as_root && !of_command {
        return Err(crate::hint::advised(
            "`--as-root` is about a command, and there is none",
            "add `-- CMD`, or leave it out",
        ));
    }
    match args
        .connection
        .given()
        .find(|name| !(of_command && *name == "--user"))
    {
        Some(name) if args.machine.local => Err(crate::hint::advised(
            format!("`{name}` is for a cluster, and `--local` needs none"),
            "leave out one of the two",
        )),
        _ => Ok(()),
    }
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    check_usage(args)?;
    let output = Output::open(args.rendering.output_file.as_deref())?;
    if args.machine.local {
        run_local(args, output)
    } else {
        run_cluster(args, output)
    }
}

fn run_cluster(args: &Args, output: Output) -> Result<Code> {
    let options = cluster::Options {
        connection: args.connection.clone(),
        target: cluster::Wanted {
            words: args.named.target.clone(),
            selector: args.named.selector.clone(),
            container: args.container.clone(),
        },
        seconds: args.timing.duration.unwrap_or(DEFAULT_SECONDS),
        pod: args.pod.settings(),
        dry_run: args.pod.dry_run,
        quiet: args.quiet,
        latency: args.timing.latency,
        verbose: args.verbose,
        concurrent: args.timing.capturing.concurrent,
        mask: args.masking.level(),
    };
    match cluster::run(options)? {
        Outcome::Profile(profile) => finish(*profile, args, output),
        Outcome::Manifests(text) => {
            output.write(text.as_bytes())?;
            Ok(Code::Done)
        }
        Outcome::Interrupted => Ok(Code::Interrupted),
    }
}

/// The digits of an id as runtimes (`4f5e…`), Kubernetes (`containerd://4f5e…`) or systemd
/// (`cri-containerd-4f5e….scope`) write it.
fn container_id(text: &str) -> Option<String> {
    let last = text.trim().rsplit('/').next()?;
    let name = last.strip_suffix(".scope").unwrap_or(last);
    let id = name.rsplit('-').next()?.to_ascii_lowercase();
    let is_id = (12..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(id)
}

/// The target on this machine, for the probe and for the document.
fn local_target(args: &Args) -> Result<(TargetSpec, Target)> {
    let named = |kind: &str, name: String| Target {
        kind: kind.to_owned().into(),
        name: name.into(),
        ..Target::default()
    };
    if let Some(pid) = args.machine.pid {
        return Ok((
            TargetSpec::Process { pid },
            named("Process", pid.to_string()),
        ));
    }
    if let Some(path) = &args.machine.cgroup {
        return Ok((
            TargetSpec::Cgroup { path: path.clone() },
            named("Cgroup", path.clone()),
        ));
    }
    if let Some(id) = &args.container {
        let id = container_id(id).ok_or_else(|| {
            crate::hint::advised(
                format!("`{id}` is no container id"),
                "give at least the first 12 of its 64 hexadecimal digits, as `crictl ps` or `docker ps` show them",
            )
        })?;
        return Ok((
            TargetSpec::Container { id: id.clone() },
            named("Container", id),
        ));
    }
    if args.machine.argv.is_empty() {
        return Err(crate::hint::advised(
            "nothing to profile is named",
            "add `-- CMD`, `--pid PID`, `--cgroup PATH` or `--container ID`",
        ));
    }
    let mut masked = args.machine.argv.clone();
    procmon_profile::mask::mask_argv_at(&mut masked, args.masking.level());
    Ok((
        TargetSpec::Command {
            argv: args.machine.argv.clone(),
        },
        named("Command", masked.join(" ")),
    ))
}

#[cfg(not(target_os = "linux"))]
fn run_local(_: &Args, _: Output) -> Result<Code> {
    Err(crate::hint::advised(
        "local mode needs Linux",
        "profile a pod of a cluster instead",
    ))
}

#[cfg(target_os = "linux")]
fn run_local(args: &Args, output: Output) -> Result<Code> {
    use crate::local::{self, Ended};
    let (spec, target) = local_target(args)?;
    let is_command = matches!(spec, TargetSpec::Command { .. });
    let seconds = args
        .timing
        .duration
        .or((!is_command).then_some(DEFAULT_SECONDS));
    let label_mode = match spec {
        TargetSpec::Command { .. } | TargetSpec::Process { .. } => LabelMode::Tree,
        _ => LabelMode::Cgroup,
    };
    let account = if is_command {
        crate::user::choose(args.connection.user.as_deref(), args.machine.as_root)?
    } else {
        None
    };
    if let Some(account) = account.as_ref().filter(|_| !args.quiet) {
        tell(account);
    }
    let (run_as, environment) = account.map_or((None, Vec::new()), |account| {
        (Some(account.ids), account.environment)
    });
    let session = session::new(target, label_mode, seconds, args.masking.level());
    let request = Request {
        window: Window { seconds },
        latency: args.timing.latency,
        verbose: args.verbose,
        concurrent: args.timing.capturing.concurrent,
        run_as,
        ignored_signals: crate::signals::ignored_by_caller(),
        ..Request::new(&session.id, spec)
    };
    // The command may ask for something on the same terminal.
    let is_hidden = args.quiet || is_command;
    let progress = ProgressWindow::new(seconds, is_hidden, args.verbose);
    let mut run = local::run(request, &environment, output.is_stdout(), &progress)?;
    let failure = run.failure();
    let mut capture = std::mem::take(&mut run.capture);
    capture.mask = args.masking.level();
    if let Some(failure) = failure {
        return match run.wait()? {
            Ended::Interrupted => Ok(Code::Interrupted),
            Ended::Code(code @ (126 | 127)) if is_command => {
                crate::exit::failed(&failure.context("cannot run the command"));
                Ok(Code::Command(code))
            }
            Ended::Killed(signal) => {
                Err(failure.context(format!("the probe was killed by {signal}")))
            }
            Ended::Code(_) => Err(failure.context("cannot profile on this machine")),
        };
    }
    let title = is_command.then(|| session.target.name.clone());
    let mut profile = merge(session, vec![capture]);
    profile.session.ended_early &= run.was_interrupted();
    if let Some(title) = title {
        // The probe names it by the command line as it was given.
        for container in &mut profile.containers {
            container.container.clone_from(&title);
        }
    }
    let code = finish(profile, args, output)?;
    match run.wait()? {
        Ended::Interrupted => Ok(Code::Interrupted),
        Ended::Killed(signal) => {
            Err(anyhow::anyhow!("the probe was killed by {signal}").context("the profile is cut"))
        }
        Ended::Code(own) if is_command && own != 0 => Ok(Code::Command(own)),
        Ended::Code(_) => Ok(code),
    }
}

/// Says who a command runs as.
#[cfg(target_os = "linux")]
#[expect(clippy::print_stderr, reason = "standard output is the command's")]
fn tell(account: &crate::user::Account) {
    let text = format!("the command runs as {account}");
    eprintln!("{}", crate::render::escape(&text));
}

/// Judges the document by the built-in rules, and writes it; the exit code says whether it is complete.
fn finish(mut profile: Profile, args: &Args, output: Output) -> Result<Code> {
    let catalogue = Catalogue::with(Vec::new()).context("cannot use the built-in rules")?;
    profile.findings = check(&profile, &catalogue, None).findings;
    let mut text = Vec::new();
    let style = args.rendering.style(&output);
    render::render(View::Profile(&profile), args.output, style, &mut text)
        .context("cannot render the profile")?;
    output.write(&text)?;
    Ok(if args.require_complete && !profile.completeness.complete {
        Code::Incomplete
    } else {
        Code::Done
    })
}

#[cfg(test)]
mod tests {
    use super::{Args, container_id};
    use clap::error::ErrorKind;

    #[test]
    fn a_flag_for_a_cluster_excludes_this_machine_and_is_named_alone() {
        for flag in [
            &["web"][..],
            &["-l", "app=web"],
            &["--image", "i"],
            &["--probe-namespace", "n"],
            &["--requests", "cpu=1m"],
            &["--limits", "cpu=1"],
            &["--privileged"],
            &["--dry-run", "client"],
        ] {
            let command = <Args as clap::Args>::augment_args(clap::Command::new("profile"));
            let words = [&["profile", "--local"], flag].concat();
            let error = command.try_get_matches_from(words).expect_err("a conflict");
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{flag:?}");
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            // Several flags would be a list below a colon.
            assert!(!first.ends_with(':'), "{text}");
        }
    }

    #[test]
    fn container_ids_are_taken_as_they_are_written_anywhere() {
        let id = "4f5e".repeat(16);
        for text in [
            id.clone(),
            id.to_uppercase(),
            format!("containerd://{id}"),
            format!("cri-containerd-{id}.scope"),
            format!("/system.slice/docker-{id}.scope"),
        ] {
            assert_eq!(container_id(&text).as_deref(), Some(id.as_str()), "{text}");
        }
        for text in ["xyz", "4f5e", "containerd://", ""] {
            assert_eq!(container_id(text), None, "{text}");
        }
    }
}
