//! More requests come than can be answered: as many as can be are, and the rest is refused quickly.

use crate::{
    Failure,
    open_loop::{Answers, percentile},
    outcome::Outcome,
    setting::Setting,
    stage::Stage,
};

/// How many connections there may be: more than may wait for their turn.
const CONNECTIONS: usize = 3_000;

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let stage = Stage::start(setting, &[])?;
    let tenant = stage.tenant("busy").await?;
    let seconds = setting.scale(10.0, 2.0);
    // Once to warm up.
    stage.capacity(&tenant, 1.0)?;
    let capacity = stage.capacity(&tenant, seconds)?;
    let mut outcome = Outcome::new();
    outcome.promise("what one core answers", format!("{capacity:.0} requests a second"), capacity > 0.0);
    // A program that is not built for release spends as much on refusing as on answering, and shares the machine with what
    // builds: that it goes on answering, and refuses, is all that can be asked of it.
    let quickly = setting.scale(1_500.0, 5_000.0);
    for (times, promised) in [(2.0, setting.scale(0.9, 0.1)), (5.0, setting.scale(0.8, 0.05))] {
        let answers = stage.load(seconds, vec![(&tenant, Some(times * capacity), CONNECTIONS)])?;
        let [answers] = answers.as_slice() else { return Err("one stream, one answer".into()) };
        let goodput = answers.goodput() / capacity;
        let promise = format!("at {times} times that at least {:.0} % of it are served in time", promised * 100.0);
        let reached = format!("{:.0} %; {}", goodput * 100.0, told(answers));
        outcome.promise(promise, reached, goodput >= promised);
        let latest = percentile(&answers.refused, 99);
        outcome.promise(
            format!("at {times} times the rest is refused quickly"),
            format!(
                "{} refused, {} not even sent; half within {:.0} ms, 99 % within {latest:.0} ms",
                answers.refused.len(),
                answers.held_back,
                percentile(&answers.refused, 50)
            ),
            !answers.refused.is_empty() && latest <= quickly,
        );
        outcome.never(format!("at {times} times anything else happens"), &answers.failed);
    }
    let after = stage.capacity(&tenant, seconds)?;
    outcome.promise(
        "afterwards everything is as before",
        format!("{after:.0} requests a second"),
        after >= capacity * setting.scale(0.9, 0.2),
    );
    Ok(outcome)
}

/// The latencies of those who were served.
fn told(answers: &Answers) -> String {
    let at = |part| percentile(&answers.served, part);
    format!("half of them within {:.0} ms, 99 % within {:.0} ms", at(50), at(99))
}
