//! Constraints and indexes, taken away while rows are copied in: to build them at once is several times faster than to
//! keep them up to date row by row.

use tokio_postgres::Client;

use crate::Failure;

/// The tables that are filled.
const TABLES: &str = "array['chats', 'chat_events', 'people', 'participations']::regclass[]";

/// The statements that bring back what was taken away, in their order.
pub struct TakenAway(Vec<String>);

/// Takes everything away that stands on the tables' columns or refers to them.
pub async fn take_away(client: &Client) -> Result<TakenAway, Failure> {
    // References first, for they stand on keys.
    let constraints = format!(
        "select format('alter table %s drop constraint %I', conrelid::regclass, conname), \
            format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) \
        from pg_constraint where contype in ('f', 'u', 'p') \
            and (conrelid = any({TABLES}) or confrelid = any({TABLES})) \
        order by array_position(array['f', 'u', 'p'], contype::text)"
    );
    let indexes = format!(
        "select format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid) from pg_index \
        where indrelid = any({TABLES})"
    );
    let mut back = Vec::new();
    for found in [constraints, indexes] {
        let mut again = Vec::new();
        for row in client.query(&found, &[]).await? {
            client.batch_execute(row.get(0)).await?;
            again.push(row.get::<_, String>(1));
        }
        again.reverse();
        back.push(again);
    }
    // Keys, then indexes, then references.
    let (constraints, indexes) = (back.remove(0), back.remove(0));
    let (references, keys): (Vec<_>, Vec<_>) = constraints.into_iter().partition(|text| text.contains(" FOREIGN KEY "));
    Ok(TakenAway([keys, indexes, references].concat()))
}

/// Makes it again.
pub async fn make_again(client: &Client, taken: &TakenAway) -> Result<(), Failure> {
    client.batch_execute("set local maintenance_work_mem = '512MB'").await?;
    for statement in &taken.0 {
        client.batch_execute(statement).await?;
    }
    Ok(())
}
