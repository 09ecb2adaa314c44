//! docs/benchmarks.md, from what was measured and nothing else.

use crate::applications::Applications;
use crate::contender::Contender;
use crate::cost::{Costs, KINDS};
use crate::curves::{Curve, FirstSights};
use crate::memory::MapMemory;
use crate::statistics::{Ratio, ratio};
use crate::throughput::{Outcome, ProbeCost};
use serde::Serialize;

const MIB: f64 = (1 << 20) as f64;
/// Reached with a capture, of what was asked for, for a load to count as borne.
const NEARLY_ALL: f64 = 0.95;

/// All of one run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) costs: Costs,
    pub(crate) outcomes: Vec<Outcome>,
    /// A capture of a program that does nothing.
    pub(crate) start: ProbeCost,
    /// A capture of a program that sleeps.
    pub(crate) idle: ProbeCost,
    pub(crate) first_sights: FirstSights,
    pub(crate) maps: Option<MapMemory>,
    /// Possible CPUs of guests, and bytes of the maps there.
    pub(crate) guests: Vec<(u64, u64)>,
    pub(crate) curves: Vec<Curve>,
    pub(crate) applications: Applications,
    /// Parts that could not be measured, and why.
    pub(crate) failed: Vec<String>,
}

/// Where it was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Machine {
    pub(crate) command: String,
    pub(crate) kernel: String,
    pub(crate) cpus: usize,
    pub(crate) cpu_model: String,
    /// Tasks that ran or waited for a CPU in the minute before.
    pub(crate) load_average: String,
    pub(crate) version: String,
    pub(crate) tools: Vec<String>,
    pub(crate) seconds: f64,
}

/// One target: what, measured, bound; met when it is known.
struct Target {
    what: String,
    measured: String,
    bound: String,
    met: Option<bool>,
}

impl Target {
    /// A ratio that must not be above a bound.
    fn ratio(what: &str, ratio: Option<Ratio>, bound: f64) -> Self {
        Self {
            what: what.to_owned(),
            measured: ratio.map_or_else(
                || "not available".to_owned(),
                |ratio| format!("{} ± {}", digits(ratio.value), digits(ratio.spread)),
            ),
            bound: format!("at most {}", digits(bound)),
            met: ratio.map(|ratio| ratio.value <= bound),
        }
    }

    fn row(&self) -> String {
        format!(
            "| {} | {} | {} | {} |\n",
            self.what,
            self.measured,
            self.bound,
            match self.met {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "not measured",
            }
        )
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() {
        "–".to_owned()
    } else if magnitude >= 100.0 {
        grouped(value)
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else if magnitude >= 0.1 || value == 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

/// A whole number with commas.
fn grouped(value: f64) -> String {
    let plain = format!("{value:.0}");
    let (sign, plain) = plain
        .strip_prefix('-')
        .map_or(("", plain.as_str()), |rest| ("-", rest));
    let mut text = String::new();
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

/// The page.
pub(crate) fn page(results: &Results) -> String {
    let mut page = String::from("# What a capture costs\n\n");
    page += &head(results);
    page += &targets(results);
    page += &costs(&results.costs);
    page += &loads(results);
    page += &memory(results);
    page += &applications(&results.applications);
    page += &curves(&results.curves);
    if !results.failed.is_empty() {
        page += "\n## Not measured\n";
        for why in &results.failed {
            page += &format!("- {why}\n");
        }
    }
    page
}

fn head(results: &Results) -> String {
    let machine = &results.machine;
    format!(
        "`{}` writes this page and its curves; no figure is written by hand. It needs root. All samples\n\
         are in [results.json](benchmarks/results.json).\n\n\
         Measured in one run of {} s with {}, on Linux {} with {} CPUs ({}; load average {} before), against {}.\n\n",
        machine.command,
        digits(machine.seconds),
        machine.version,
        machine.kernel,
        machine.cpus,
        machine.cpu_model,
        machine.load_average,
        machine.tools.join(", "),
    )
}

fn targets(results: &Results) -> String {
    let costs = &results.costs;
    let of_pair = |contender, kind| results.of_pair(contender, kind);
    let of_other = |other| {
        ratio(
            &costs.cpu(Contender::Procmon, "getppid"),
            &costs.cpu(Contender::Nothing, "getppid"),
            &costs.cpu(other, "getppid"),
        )
    };
    let mut all = vec![
        Target::ratio(
            "a succeeding call, as a multiple of an empty pair",
            of_pair(Contender::Procmon, "getppid"),
            1.25,
        ),
        Target::ratio(
            "a failing call",
            of_pair(Contender::Procmon, "failing"),
            1.5,
        ),
        Target::ratio(
            "a call of a task outside the target",
            of_pair(Contender::ProcmonElsewhere, "getppid"),
            1.25,
        ),
        Target::ratio(
            "open, read, write, close with file accounting",
            of_pair(Contender::Procmon, "files"),
            2.0,
        ),
        Target::ratio(
            "a succeeding call with `--latency`",
            of_pair(Contender::ProcmonLatency, "getppid"),
            2.0,
        ),
        Target::ratio(
            "of what bpftrace adds when it counts",
            of_other(Contender::BpftraceCount),
            0.5,
        ),
        Target::ratio(
            "of what `strace -c` adds",
            of_other(Contender::Strace),
            1.0 / 25.0,
        ),
    ];
    for outcome in &results.outcomes {
        all.push(Target {
            what: format!("nothing lost: {}", outcome.name),
            measured: format!("{} a second, {}", grouped(outcome.with), outcome.verdict()),
            bound: format!("{} a second", grouped(outcome.asked)),
            met: Some(outcome.is_exact() && outcome.with >= outcome.asked * NEARLY_ALL),
        });
    }
    if let Some(maps) = &results.maps {
        let bytes = maps.on(2) as f64 / MIB;
        all.push(Target {
            what: "kernel maps with 2 CPUs".to_owned(),
            measured: format!("{} MiB", digits(bytes)),
            bound: "at most 64 MiB".to_owned(),
            met: Some(bytes <= 64.0),
        });
    }
    for outcome in &results.outcomes {
        let bytes = outcome.cost.rss_bytes / MIB;
        all.push(Target {
            what: format!("memory of the probe: {}", outcome.name),
            measured: format!("{} MiB", digits(bytes)),
            bound: "under 48 MiB".to_owned(),
            met: Some(bytes < 48.0),
        });
    }
    for outcome in &results.outcomes {
        let share = results.share(outcome);
        all.push(Target {
            what: format!("CPU of the probe without first sights: {}", outcome.name),
            measured: format!("{} % of a core", digits(share)),
            bound: "under 2 %".to_owned(),
            met: share.is_finite().then_some(share < 2.0),
        });
    }
    let mut text =
        String::from("## Targets\n| what | measured | target | met |\n|---|---|---|---|\n");
    for target in &all {
        text += &target.row();
    }
    text + &format!(
        "\nRatios are of the CPU time that a call takes its caller beyond what it takes with nothing attached.{}\n",
        results.clock()
    )
}

impl Outcome {
    /// All was counted, and the document says so. Files beyond the table are counted with their folder:
    /// the document says that too.
    fn is_exact(&self) -> bool {
        let nothing_lost = self.complete && self.lost.is_empty();
        self.wrong.is_empty() && (nothing_lost || self.is_shared())
    }

    fn verdict(&self) -> &'static str {
        match (self.is_exact(), self.is_shared()) {
            (true, false) => "all counted",
            (true, true) => "all counted, those beyond the table by folder",
            (false, _) => "see below",
        }
    }

    /// More files than rows, and nothing else.
    fn is_shared(&self) -> bool {
        self.lost.starts_with("FILE_ROWS_BY_FOLDER ") && !self.lost.contains(',')
    }
}

impl Results {
    /// The cost that a contender adds to a call, as a multiple of what an empty pair adds.
    fn of_pair(&self, contender: Contender, kind: &str) -> Option<Ratio> {
        ratio(
            &self.costs.cpu(contender, kind),
            &self.costs.cpu(Contender::Nothing, kind),
            &self.costs.cpu(Contender::EmptyPair, kind),
        )
    }

    /// The share of the machine's clock in the cost of `--latency`.
    fn clock(&self) -> String {
        self.of_pair(Contender::ClockPair, "getppid")
            .map_or_else(String::new, |clock| {
                format!(
                    " {} of the cost of `--latency` are the pair and two readings of the clock, with which nothing is done.",
                    digits(clock.value)
                )
            })
    }

    /// Percent of a core that the probe took after its start, without what it took for first
    /// sights.
    fn share(&self, outcome: &Outcome) -> f64 {
        let files = self.first_sights.file.unwrap_or(0.0).max(0.0) * outcome.rows as f64;
        let processes =
            self.first_sights.process.unwrap_or(0.0).max(0.0) * outcome.processes as f64;
        let rest = outcome.cost.cpu_seconds - self.start.cpu_seconds - files - processes;
        100.0 * rest.max(0.0) / outcome.cost.window_seconds
    }
}

fn costs(costs: &Costs) -> String {
    let mut text = format!(
        "\n## A system call\nNanoseconds of CPU time for a call (`CLOCK_THREAD_CPUTIME_ID` of the caller): medians of {} rounds, each of which ran all of\n\
         these in turn, ± the median distance from them. A round's sample is the lower quartile of 20 chunks. In brackets: what is added, as a multiple of what\n\
         an empty pair adds. *Empty pair*: two eBPF programs that return at once, at `sys_enter` and `sys_exit`. The *pair that reads the clock* does that\n\
         and nothing else: no tracer can tell times for less.\n\n\
         | | `getppid` | `close(-1)` | file: open, read, write, close | elapsed, `getppid` |\n|---|---|---|---|---|\n",
        costs.rounds
    );
    for contender in Contender::ALL {
        if let Some(why) = costs.absent.get(&contender) {
            text += &format!(
                "| {} | not available: {} | | | |\n",
                contender.name(),
                why.replace('|', "\\|")
            );
            continue;
        }
        text += &format!("| {} |", contender.name());
        for kind in KINDS {
            let samples = costs.cpu(contender, kind);
            let (Some(middle), Some(spread)) = (samples.median(), samples.spread()) else {
                text += " – |";
                continue;
            };
            let nothing = costs.cpu(Contender::Nothing, kind);
            let multiple = ratio(&samples, &nothing, &costs.cpu(Contender::EmptyPair, kind))
                .filter(|_| contender != Contender::Nothing)
                .map(|ratio| format!(" ({})", digits(ratio.value)))
                .unwrap_or_default();
            text += &format!(" {} ± {}{multiple} |", digits(middle), digits(spread));
        }
        let elapsed = costs.wall.get(&contender).and_then(|kinds| {
            let samples = kinds.get("getppid")?;
            Some(format!(
                "{} ± {}",
                digits(samples.median()?),
                digits(samples.spread()?)
            ))
        });
        text += &format!(" {} |\n", elapsed.unwrap_or_default());
    }
    if costs.disturbed > 0 {
        text += &format!(
            "\n{} samples were taken while another program traced this machine.\n",
            costs.disturbed
        );
    }
    for failed in &costs.failed {
        text += &format!("\nNo sample: {failed}.\n");
    }
    for wrong in &costs.wrong {
        text += &format!("\nWrong count: {wrong}.\n");
    }
    text
}

fn loads(results: &Results) -> String {
    let mut text = String::from(
        "\n## Nothing lost under load\nThe rate asked for is the nominal one, or 70 % of what the same load reaches unwatched where that is less.\n\
         *Counted* compares the document with what the load itself counted.\n\n\
         | load | nominal | unwatched, unbounded | asked | without | with | CPU each, without → with | complete | lost | counted |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for outcome in &results.outcomes {
        text += &format!(
            "| {} | {}/s | {}/s | {}/s | {}/s | {}/s | {} → {} ns | {} | {} | {} |\n",
            outcome.name,
            grouped(outcome.nominal as f64),
            grouped(outcome.free),
            grouped(outcome.asked),
            grouped(outcome.without),
            grouped(outcome.with),
            digits(outcome.cpu_without),
            digits(outcome.cpu_with),
            if outcome.complete { "yes" } else { "**no**" },
            if outcome.lost.is_empty() {
                "nothing"
            } else {
                &outcome.lost
            },
            if outcome.wrong.is_empty() {
                "exactly".to_owned()
            } else {
                outcome.wrong.join("; ")
            },
        );
    }
    text += "\nThe probe itself, after its start (medians):\n\n\
             | load | window | CPU of the probe after its start | of a core | without first sights | rows | processes | RSS | maps |\n|---|---|---|---|---|---|---|---|---|\n";
    for outcome in &results.outcomes {
        let cost = &outcome.cost;
        let cpu = cost.cpu_seconds - results.start.cpu_seconds;
        text += &format!(
            "| {} | {} s | {} s | {} % | {} % | {} | {} | {} MiB | {} MiB |\n",
            outcome.name,
            digits(cost.window_seconds),
            digits(cpu),
            digits(100.0 * cpu / cost.window_seconds),
            digits(results.share(outcome)),
            grouped(outcome.rows as f64),
            grouped(outcome.processes as f64),
            digits(cost.rss_bytes / MIB),
            digits(cost.map_bytes / MIB),
        );
    }
    let micros = |seconds: Option<f64>| {
        seconds.map_or_else(
            || "not measured".to_owned(),
            |seconds| format!("{} µs", digits(seconds * 1e6)),
        )
    };
    let idle = 100.0 * (results.idle.cpu_seconds - results.start.cpu_seconds)
        / results.idle.window_seconds;
    text + &format!(
        "\nStart and end of a capture take the probe {} s of CPU time, a window in which nothing happens {} % of a core. A first sight takes it\n\
         {} for a file and {} for a process (slopes of its CPU time against their numbers).\n",
        digits(results.start.cpu_seconds),
        digits(idle),
        micros(results.first_sights.file),
        micros(results.first_sights.process),
    )
}

fn memory(results: &Results) -> String {
    let Some(maps) = &results.maps else {
        return String::new();
    };
    let mib = |bytes: u64| digits(bytes as f64 / MIB);
    let mut text = format!(
        "\n## Memory of the kernel's maps\nWith default limits {} MiB here, for {} possible CPUs. The maps that hold a value for each possible CPU take {} KiB\n\
         for each of them (value size × entries, from `/proc/PID/fdinfo` of the probe); the rest does not depend on their number. With the capacities\n\
         of this machine that is {} MiB on 2 CPUs, {} MiB on 64, {} MiB on 256: an upper bound where the probe takes smaller capacities on more CPUs.\n",
        mib(maps.total),
        maps.possible_cpus,
        digits(maps.per_cpu as f64 / 1024.0),
        mib(maps.on(2)),
        mib(maps.on(64)),
        mib(maps.on(256)),
    );
    if !results.guests.is_empty() {
        let all: Vec<String> = results
            .guests
            .iter()
            .map(|(cpus, bytes)| format!("{} MiB with {cpus}", mib(*bytes)))
            .collect();
        text += &format!(
            "The probe states in guests that announce so many possible CPUs: {}",
            all.join(", ")
        );
        if let (Some(first), Some(last)) = (results.guests.first(), results.guests.last())
            && last.0 > first.0
        {
            let each = (last.1 as f64 - first.1 as f64) / (last.0 - first.0) as f64;
            text += &format!(", {} KiB more for each CPU", digits(each / 1024.0));
        }
        text += ". Their kernel, an older one, counts values and keys only.\n";
    }
    text
}

fn applications(applications: &Applications) -> String {
    let mut text = String::from(
        "\n## Whole applications\nnginx (one process) under `wrk -c32`, redis under `redis-benchmark -c32`, on the same CPUs as what loads them. Medians of the rounds, in turn.\n\n\
         | load | under | requests per second | of unwatched | p99 |\n|---|---|---|---|---|\n",
    );
    for (name, contenders) in &applications.reached {
        let free = contenders
            .get(&Contender::Nothing)
            .and_then(|reached| reached.per_second.median());
        for (contender, reached) in contenders {
            let (Some(rate), Some(p99)) = (reached.per_second.median(), reached.p99_ms.median())
            else {
                continue;
            };
            let share = free.map_or(f64::NAN, |free| 100.0 * rate / free);
            text += &format!(
                "| {name} | {} | {} ± {} | {} % | {} ± {} ms |\n",
                contender.name(),
                grouped(rate),
                grouped(reached.per_second.spread().unwrap_or(0.0)),
                digits(share),
                digits(p99),
                digits(reached.p99_ms.spread().unwrap_or(0.0)),
            );
        }
    }
    for lost in &applications.lost {
        text += &format!("\nIncomplete: {lost}.\n");
    }
    for absent in &applications.absent {
        text += &format!("\nNot available: {absent}.\n");
    }
    text
}

fn curves(curves: &[Curve]) -> String {
    let mut text = String::from(
        "\n## Curves\nDifferences of lower quartiles over the rounds, which ran all in turn.\n\n",
    );
    for curve in curves {
        text += &format!("![{}](benchmarks/{}.svg)\n", curve.title, curve.file);
        text += &format!("\n| {} |", curve.x);
        for line in &curve.lines {
            text += &format!(" {} |", line.name);
        }
        text += &format!("\n|---{}|\n", "|---".repeat(curve.lines.len()));
        let xs = curve.lines.first().map(|line| line.points.as_slice());
        for (x, _) in xs.unwrap_or_default() {
            text += &format!("| {} |", grouped(*x));
            for line in &curve.lines {
                text += &format!(" {} |", line.at(*x).map_or(String::new(), digits));
            }
            text.push('\n');
        }
        text += &format!("\nIn the table: {}.\n\n", curve.y);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Target, digits, grouped};
    use crate::statistics::Ratio;

    #[test]
    fn numbers_have_the_digits_that_count() {
        for (value, expected) in [
            (1.254, "1.25"),
            (0.0, "0.00"),
            (0.0372, "0.0372"),
            (36.64, "36.6"),
            (1_234_567.2, "1,234,567"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(digits(value), expected);
        }
        assert_eq!(grouped(-1000.0), "-1,000");
        assert_eq!(grouped(999.0), "999");
    }

    #[test]
    fn a_missed_target_is_marked() {
        let row = |value: Option<f64>| {
            let ratio = value.map(|value| Ratio { value, spread: 0.1 });
            Target::ratio("a call", ratio, 1.25).row()
        };
        assert_eq!(
            row(Some(1.2)),
            "| a call | 1.20 ± 0.10 | at most 1.25 | yes |\n"
        );
        assert!(row(Some(1.26)).contains("**no**"));
        assert!(row(None).contains("not measured"));
    }
}
