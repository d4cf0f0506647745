//! Writes docs/performance.md: what was measured replaces what stands between two marks, what was written by hand stays.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use crate::{
    Failure,
    bench::SETTINGS,
    figures::{Figure, Figures, Spread, Verdict},
    plot::{self, Axis, Plot},
};

/// The plots.
pub const THROUGHPUT: &str = "throughput";
pub const PERCENTILES: &str = "percentiles";
pub const PAGES: &str = "pages";
pub const GROWTH: &str = "growth";

const PLOTS: [Plot; 4] = [
    Plot {
        name: THROUGHPUT,
        title: "Throughput against the number of clients",
        x: Axis { label: "clients", is_logarithmic: true },
        y: Axis { label: "answers a second", is_logarithmic: false },
    },
    Plot {
        name: PERCENTILES,
        title: "Latency: of so many percent, at most",
        x: Axis { label: "percent", is_logarithmic: false },
        y: Axis { label: "ms", is_logarithmic: true },
    },
    Plot {
        name: PAGES,
        title: "Time of page N against N",
        x: Axis { label: "page", is_logarithmic: false },
        y: Axis { label: "ms", is_logarithmic: false },
    },
    Plot {
        name: GROWTH,
        title: "Time of a page against the number of chats",
        x: Axis { label: "chats of the tenant", is_logarithmic: true },
        y: Axis { label: "ms", is_logarithmic: false },
    },
];

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// Writes the page, and the plots into a folder beside it.
pub fn write(figures: &Figures, page: &Path) -> Result<(), Failure> {
    let old = fs::read_to_string(page).unwrap_or_else(|_| format!("# Performance\n\n{BEGIN}\n{END}\n"));
    let marks = || Some((old.split_once(BEGIN)?.0, old.split_once(END)?.1));
    let (before, behind) = marks().ok_or_else(|| format!("{} lacks its marks", page.display()))?;
    let measured = measured(figures);
    fs::write(page, format!("{before}{BEGIN}\n{measured}{END}{behind}"))?;

    let folder = page.with_extension("");
    fs::create_dir_all(&folder)?;
    for plot in &PLOTS {
        if let Some(lines) = figures.lines(plot.name) {
            fs::write(folder.join(plot.name).with_extension("svg"), plot::draw(plot, lines))?;
        }
    }
    Ok(())
}

fn measured(figures: &Figures) -> String {
    let mut text = format!("{}\n\n", machine());
    text.push_str("| what | service | limit | ratio | reach | beyond | |\n|---|---:|---:|---:|---:|---:|---|\n");
    for row in figures.rows() {
        let limit = if row.limit.is_empty() { String::new() } else { amount(row, &row.limit) };
        let ratio = if row.limit.is_empty() { String::new() } else { spread(&Spread::of(&row.values())) };
        let targets =
            row.target.map_or((String::new(), String::new()), |target| (number(target.reach), number(target.beyond)));
        let verdict = match row.verdict() {
            Some(Verdict::Beyond) => "beyond",
            Some(Verdict::Reached) => "reached",
            Some(Verdict::Missed) => "**missed**",
            None => "",
        };
        let service = amount(row, &row.service);
        let _ = writeln!(
            text,
            "| {} | {service} | {limit} | {ratio} | {} | {} | {verdict} |",
            row.what, targets.0, targets.1
        );
    }
    text.push('\n');
    for plot in PLOTS.iter().filter(|plot| figures.lines(plot.name).is_some()) {
        let _ = writeln!(text, "![{}](performance/{}.svg)\n", plot.title, plot.name);
    }
    text
}

/// The median of values with their ends, and the unit.
fn amount(row: &Figure, values: &[f64]) -> String {
    format!("{} {}", spread(&Spread::of(values)), row.unit)
}

fn spread(spread: &Spread) -> String {
    format!("{} ({}–{})", number(spread.median), number(spread.least), number(spread.most))
}

/// Three digits that mean something.
fn number(number: f64) -> String {
    let digits = match number.abs() {
        n if n >= 100.0 => 0,
        n if n >= 10.0 => 1,
        n if n >= 1.0 => 2,
        _ => 3,
    };
    format!("{number:.digits$}")
}

/// What it was measured on.
fn machine() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let told = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory: u64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    let settings: Vec<String> = SETTINGS.iter().map(|(name, value)| format!("`{name}` {value}")).collect();
    format!(
        "Measured on {}: {} ({cores} cores), {} GB of memory, Linux {}, {}. Beside its defaults PostgreSQL had {}; \
        commits were durable on both databases.",
        told("date", &["--utc", "+%Y-%m-%d"]),
        field(&read("/proc/cpuinfo"), "model name"),
        memory / 1_048_576 + 1,
        told("uname", &["-r"]),
        told("pg_config", &["--version"]),
        settings.join(", "),
    )
}
