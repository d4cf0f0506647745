//! One tenant asks for more than can be answered; another, who asks for little, hardly notices.

use crate::{
    Failure,
    open_loop::{Answers, percentile},
    outcome::{Outcome, median_and_most},
    setting::Setting,
    stage::Stage,
};

/// The neighbour's part of what can be answered, and the noisy tenant's while it keeps to its own.
const QUIET: f64 = 0.1;
const ORDERLY: f64 = 0.5;
/// How many times what can be answered the noisy tenant asks for.
const NOISY: f64 = 5.0;

/// How much slower its slowest hundredth may be for the neighbour.
const SLOWER: f64 = 1.2;

/// How often both are looked at in turn: the machine is not always as fast.
const ROUNDS: usize = 9;

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let stage = Stage::start(setting, &[])?;
    let (noisy, quiet) = (stage.tenant("noisy").await?, stage.tenant("quiet").await?);
    let seconds = setting.scale(3.0, 1.0);
    stage.capacity(&noisy, 1.0)?;
    let capacity = stage.capacity(&noisy, setting.scale(5.0, 1.0))?;
    let connections = Stage::connections(capacity);
    let beside = |noise: f64| -> Result<(Answers, Answers), Failure> {
        let streams = [(&quiet, Some(QUIET * capacity), 200), (&noisy, Some(noise * capacity), connections)];
        let mut answers = stage.load(seconds, &streams)?.into_iter();
        answers.next().zip(answers.next()).ok_or_else(|| "two streams, two answers".into())
    };
    let p99 = |answers: &Answers| percentile(&answers.served, 99);
    let (mut orderly, mut beside_noise) = (Vec::new(), Vec::new());
    let (mut disturbed, mut noise) = (Answers::default(), Answers::default());
    let (alone, _) = beside(0.0001)?;
    for _ in 0..setting.scale(ROUNDS, 1) {
        orderly.push(p99(&beside(ORDERLY)?.0));
        let (quiet, noisy) = beside(NOISY)?;
        beside_noise.push(p99(&quiet));
        disturbed.add(quiet);
        noise.add(noisy);
    }
    let (orderly, beside_noise) = (median_and_most(&orderly), median_and_most(&beside_noise));
    let mut outcome = Outcome::new();
    // A program that is not built for release, beside what builds, tells nothing of times: only that nobody is refused for
    // what another does.
    if !setting.small {
        let slower = beside_noise.0 / orderly.0;
        let told = |(median, most): (f64, f64)| format!("{median:.1} ms (at most {most:.1})");
        outcome.promise(
            format!("beside {NOISY} times what can be answered, a neighbour's p99 is at most {SLOWER} times what it is beside an orderly one"),
            format!(
                "{slower:.2} times: alone {:.1} ms, beside {ORDERLY} of what can be answered {}, beside {NOISY} times it {}",
                p99(&alone),
                told(orderly),
                told(beside_noise)
            ),
            slower <= SLOWER,
        );
    }
    let served = disturbed.served.len() as f64 / (disturbed.served.len() + disturbed.refused.len()).max(1) as f64;
    outcome.promise("the neighbour is not refused for it", format!("{:.1} % served", served * 100.0), served >= 0.99);
    outcome.promise(
        "the noisy one is",
        format!("{} refused, {} not even sent", noise.refused.len(), noise.held_back),
        !noise.refused.is_empty(),
    );
    outcome.never("anything else happens to the neighbour", &disturbed.failed);
    Ok(outcome)
}
