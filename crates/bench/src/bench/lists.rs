//! The list of 20 with its exact total, and its other orders.

use super::{Bench, CHATS, absolute, in_turn, ratio, time_of};
use crate::{
    Failure,
    figures::Figures,
    limit::{self, Script},
    load::{PERCENTILES, Question},
    report,
};

const CLIENTS: u32 = 32;
const LIMIT_CLIENTS: u32 = 8;
/// The clients that the plot shows.
const PLOTTED_CLIENTS: [u32; 5] = [1, 8, 32, 64, 128];

pub async fn measure(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let service = bench.program.serve("all")?;
    service.client()?.get(CHATS)?;
    let statement = limit::last_statement(&bench.sql, "select ((select coalesce(sum(active + inactive)%").await?;
    let script = Script::new(&statement.replace("$1", ":tenant"));
    let paths = [CHATS.to_owned()];
    let load =
        |clients| bench.load.run(&service.address, &service.token, &Question::Get(&paths), clients, bench.seconds);
    load(CLIENTS)?;
    let mut line = Vec::new();
    for clients in PLOTTED_CLIENTS {
        let outcome = load(clients)?;
        line.push((f64::from(clients), outcome.rate));
        if clients == CLIENTS {
            let points = PERCENTILES.iter().copied().zip(outcome.percentiles).collect();
            figures.draw(report::PERCENTILES, "list of 20, 32 clients", points);
        }
    }
    figures.draw(report::THROUGHPUT, "service: list of 20", line);
    let measured = in_turn(
        bench.rounds,
        || Ok(load(CLIENTS)?.rate),
        || Ok(bench.limit.run(&script, LIMIT_CLIENTS, bench.seconds)?.rate),
    )?;
    let what = "list of 20 with its exact total, 32 clients, beside pgbench with 8";
    figures.put("20", ratio(what, "a second", measured, 0.70, 0.85));

    for (place, order) in [("21", "title"), ("22", "createdBy")] {
        let paths = [format!("{CHATS}?sort={order}")];
        // A connection is closed that was not used while the load ran.
        let mut client = service.client()?;
        time_of(&mut client, &paths, 20)?;
        let times = (0..bench.rounds).map(|_| time_of(&mut client, &paths, 100)).collect::<Result<_, _>>()?;
        figures.put(place, absolute(&format!("first page by {order}, one client"), "ms", times, 5.0, 2.0));
    }
    Ok(())
}
