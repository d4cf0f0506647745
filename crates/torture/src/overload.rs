//! More requests come than can be answered: as many as can be are, and the rest is refused quickly.

use crate::{
    Failure,
    open_loop::{Answers, percentile},
    outcome::Outcome,
    setting::Setting,
    stage::Stage,
};

/// How often it is measured what can be answered, and what is while too much comes: the machine is not always as fast.
const ROUNDS: usize = 5;

/// Within how many milliseconds it is refused what is not answered.
const QUICKLY: f64 = 1_500.0;

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let stage = Stage::start(setting, &[])?;
    let tenant = stage.tenant("busy").await?;
    let rounds = setting.scale(ROUNDS, 1);
    let capacity = || stage.capacity(&tenant, setting.scale(2.0, 0.5));
    let measured = || (0..rounds).map(|_| capacity()).collect::<Result<Vec<_>, _>>();
    // Once to warm up.
    capacity()?;
    let first = measured()?;
    let mut before = percentile(&first, 50);
    let connections = Stage::connections(before);
    let mut outcome = Outcome::new();
    // To refuse takes a larger part of what there is where the program is not built for release.
    for (times, promised) in [(2.0, setting.scale(0.9, 0.15)), (5.0, setting.scale(0.8, 0.15))] {
        let mut all = Answers::default();
        let mut goodputs = Vec::new();
        for _ in 0..rounds {
            let load = stage.load(setting.scale(4.0, 1.0), &[(&tenant, Some(times * before), connections)])?;
            let [answers] = <[Answers; 1]>::try_from(load).map_err(|_| "one stream, one answer")?;
            let after = capacity()?;
            goodputs.push(answers.goodput() / f64::midpoint(before, after));
            before = after;
            all.add(answers);
        }
        let goodput = percentile(&goodputs, 50);
        outcome.promise(
            format!(
                "at {times} times what one core answers at least {:.0} % of it are served in time",
                promised * 100.0
            ),
            format!("{}; {}", spread(&goodputs), told(&all)),
            goodput >= promised,
        );
        let latest = percentile(&all.refused, 99);
        outcome.promise(
            format!("at {times} times the rest is refused quickly"),
            format!(
                "{} refused, {} not even sent; half within {:.0} ms, 99 % within {latest:.0} ms",
                all.refused.len(),
                all.held_back,
                percentile(&all.refused, 50)
            ),
            !all.refused.is_empty() && latest <= QUICKLY,
        );
        outcome.never(format!("at {times} times anything else happens"), &all.failed);
    }
    let (first, last) = (percentile(&first, 50), percentile(&measured()?, 50));
    outcome.promise(
        "afterwards everything is as before",
        format!("{first:.0} requests a second at first, {last:.0} in the end"),
        last >= first * setting.scale(0.9, 0.2),
    );
    Ok(outcome)
}

/// Parts of a whole: the median, the least and the most.
fn spread(parts: &[f64]) -> String {
    let at = |part| percentile(parts, part) * 100.0;
    format!("{:.0} % ({:.0} to {:.0})", at(50), at(0), at(100))
}

/// The latencies of those who were served, and how many of them were served in vain.
fn told(answers: &Answers) -> String {
    let at = |part| percentile(&answers.served, part);
    let late = answers.served.len() as f64 / answers.seconds - answers.goodput();
    format!("half of them within {:.0} ms, 99 % within {:.0} ms; {late:.0} a second too late", at(50), at(99))
}
