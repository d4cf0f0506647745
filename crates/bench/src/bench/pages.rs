//! Any page of very many chats of one tenant, and a walk through all of them.

use std::time::Duration;

use convoke_domain::Timestamp;

use super::{Bench, CHATS, absolute, ratio, time_of};
use crate::{
    Failure,
    figures::{Figures, Spread},
    http::Client,
    report,
    seed::{CROWDED_DAY, FIRST_DAY, TenantSeed},
    service::TENANT,
};

const SIZE: u64 = 20;
/// How many chats the walk takes at once.
const WALK: u64 = 200;
const DAY: Duration = Duration::from_hours(24);

/// The tenant that has them all, and smaller ones for the plot.
pub fn tenants(chats: u64) -> Result<Vec<TenantSeed>, Failure> {
    let smaller = (3..9).map(|power| 10_u64.pow(power)).filter(|size| size * 10 <= chats);
    let mut tenants = vec![TenantSeed { tenant: TENANT.parse()?, chats }];
    for size in smaller {
        tenants.push(TenantSeed { tenant: name(size).parse()?, chats: size });
    }
    Ok(tenants)
}

fn name(size: u64) -> String {
    format!("{TENANT}-{size}")
}

pub fn measure(bench: &Bench, figures: &mut Figures, chats: u64) -> Result<(), Failure> {
    let service = bench.program.serve("all")?;
    let mut client = service.client()?;
    let year_begins = FIRST_DAY.plus(DAY * 365);
    let year = format!("isActive=true&fromDate={}&toDate={}", day(year_begins), day(year_begins.plus(DAY * 364)));
    let crowded = format!("fromDate={0}&toDate={0}", day(CROWDED_DAY));
    for (place, what, filter, reach, beyond) in [
        ("70", "all", "", 5.0, 2.0),
        ("71", "active ones of a year", year.as_str(), 8.0, 3.0),
        ("72", "those of the crowded day", crowded.as_str(), 10.0, 3.0),
    ] {
        let total = total(&mut client, filter)?;
        let last = total.saturating_sub(1) / SIZE;
        for (letter, which, page) in [("a", "first", 0), ("b", "middle", last / 2), ("c", "last", last)] {
            // Not the same page again and again, but for the ends.
            let paths: Vec<String> =
                (0..10).map(|n| path(filter, if letter == "b" { page.saturating_sub(n * 97) } else { page })).collect();
            time_of(&mut client, &paths, 2)?;
            let times = (0..bench.rounds).map(|_| time_of(&mut client, &paths, 10)).collect::<Result<_, _>>()?;
            let what = format!("{which} page of {total}: {what}");
            figures.put(&format!("{place}{letter}"), absolute(&what, "ms", times, reach, beyond));
        }
        let mut line = Vec::new();
        for part in 0..=20 {
            let page = last * part / 20;
            let paths = [path(filter, page)];
            line.push((page as f64, time_of(&mut client, &paths, 10)?));
        }
        figures.draw(report::PAGES, what, line);
    }
    walk(&mut client, figures, chats, bench.rounds)?;
    grow(bench, figures, chats)
}

/// The time of a page's request against the number of chats that there are.
fn grow(bench: &Bench, figures: &mut Figures, chats: u64) -> Result<(), Failure> {
    let (mut first, mut middle) = (Vec::new(), Vec::new());
    for seed in tenants(chats)? {
        let service = bench.program.serve_to("all", seed.tenant.as_str())?;
        let mut client = service.client()?;
        for (line, page) in [(&mut first, 0), (&mut middle, seed.chats / SIZE / 2)] {
            let paths = [path("", page)];
            time_of(&mut client, &paths, 10)?;
            line.push((seed.chats as f64, time_of(&mut client, &paths, 50)?));
        }
    }
    for (name, mut line) in [("first page", first), ("middle page", middle)] {
        line.sort_by(|a, b| a.0.total_cmp(&b.0));
        figures.draw(report::GROWTH, name, line);
    }
    Ok(())
}

/// Walks through all chats, and compares the last pages with the first ones.
fn walk(client: &mut Client, figures: &mut Figures, chats: u64, rounds: usize) -> Result<(), Failure> {
    let (mut lasts, mut firsts) = (Vec::new(), Vec::new());
    // One walk takes long where there are very many chats, and is a mean over thousands of pages there.
    for _ in 0..if chats > 1_000_000 { 1 } else { rounds } {
        let mut times = Vec::new();
        let mut next = Some(format!("{CHATS}?cursor=&size={WALK}"));
        while let Some(path) = next {
            let answer = client.get(&path)?;
            times.push(answer.time.as_secs_f64() * 1e3);
            next = after(&answer.body, "\"next\":{\"href\":\"").map(|(href, _)| href.to_owned());
        }
        if times.len() as u64 != chats.div_ceil(WALK) {
            return Err(format!("the walk saw {} pages of {WALK}, not all {chats} chats", times.len()).into());
        }
        let part = (times.len() / 20).max(1);
        firsts.push(Spread::of(&times[..part]).median);
        lasts.push(Spread::of(&times[times.len() - part..]).median);
    }
    let what = format!("walk through {chats} by {WALK}: a page at the end, beside one at the beginning");
    figures.put("73", ratio(&what, "ms", (lasts, firsts), 1.2, 1.0));
    Ok(())
}

fn day(at: Timestamp) -> String {
    at.to_string()[..10].to_owned()
}

fn path(filter: &str, page: u64) -> String {
    format!("{CHATS}?size={SIZE}&page={page}&{filter}").trim_end_matches('&').to_owned()
}

fn total(client: &mut Client, filter: &str) -> Result<u64, Failure> {
    let answer = client.get(&path(filter, 0))?.body;
    let (_, rest) = after(&answer, "\"totalRecords\":").ok_or("a list without a total")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

/// What follows a mark: up to the next quote, and all of it.
fn after<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let rest = &text[text.find(mark)? + mark.len()..];
    Some((rest.split('"').next().unwrap_or(rest), rest))
}
