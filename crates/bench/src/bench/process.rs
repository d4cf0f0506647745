//! What a process takes: memory, and time to start.

use std::{thread::sleep, time::Duration};

use super::{Bench, absolute, path_of};
use crate::{Failure, figures::Figures, limit, load::Question};

/// How long a process idles before its memory is looked at.
const IDLE: Duration = Duration::from_secs(3);

pub async fn measure(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (ids, _) = limit::keep_ids(&bench.sql, 10_000).await?;
    let paths: Vec<String> = ids.iter().map(|id| path_of(id)).collect();
    let (mut starts, mut idle, mut loaded) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let service = bench.program.serve("all")?;
        starts.push(service.ready_after.as_secs_f64() * 1e3);
        sleep(IDLE);
        idle.push(service.memory()?.0);
        bench.load.run(&service.address, &service.token, &Question::Get(&paths), 128, bench.seconds)?;
        loaded.push(service.memory()?.1);
    }
    figures.put("60", absolute("memory when idle", "MB", idle, 30.0, 20.0));
    figures.put("61", absolute("memory at most, 128 clients", "MB", loaded, 120.0, 80.0));
    figures.put("62", absolute("from the start to ready", "ms", starts, 300.0, 150.0));
    Ok(())
}
