//! From registered to active: operations that wait, carried out through the sandbox.

use std::{thread::sleep, time::Duration};

use super::{Bench, CHATS, absolute};
use crate::{Failure, figures::Figures, load::Question};

const CHAT: &str = r#"{"title": "Kick-off", "service": "sandbox"}"#;
/// How many operations a round takes; more that were registered are not looked at.
const OPERATIONS: i64 = 8_000;
/// How long a round may take.
const PATIENCE: Duration = Duration::from_mins(2);

pub async fn measure(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let mut rates = Vec::new();
    for _ in 0..bench.rounds {
        rates.push(one_round(bench).await?);
    }
    figures
        .put("40", absolute("registered to active through the sandbox, sustained", "a second", rates, 1000.0, 3000.0));
    Ok(())
}

async fn one_round(bench: &Bench) -> Result<f64, Failure> {
    // What waits from before would be counted too.
    bench.sql.batch_execute("truncate operations; checkpoint").await?;
    let api = bench.program.serve("api")?;
    while waiting(bench).await? < OPERATIONS {
        bench.load.run(&api.address, &api.token, &Question::Post(CHATS, CHAT), 32, 1)?;
    }
    drop(api);
    bench
        .sql
        .execute("delete from operations where id in (select id from operations offset $1)", &[&OPERATIONS])
        .await?;
    let _worker = bench.program.serve("worker")?;
    let mut waited = Duration::ZERO;
    while waiting(bench).await? > 0 {
        if waited > PATIENCE {
            return Err("operations are not carried out in time".into());
        }
        let pause = Duration::from_millis(50);
        sleep(pause);
        waited += pause;
    }
    let found = bench
        .sql
        .query_one(
            "select count(*)::float8, (max(completed_at) - min(completed_at))::float8 from operations \
            where state = 'succeeded'",
            &[],
        )
        .await?;
    let (number, millis): (f64, f64) = (found.get(0), found.get(1));
    Ok((number - 1.0) / millis * 1e3)
}

async fn waiting(bench: &Bench) -> Result<i64, Failure> {
    let count = "select count(*) from operations where state not in ('succeeded', 'failed')";
    Ok(bench.sql.query_one(count, &[]).await?.get(0))
}
