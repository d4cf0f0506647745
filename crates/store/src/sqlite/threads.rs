//! The threads that SQLite is spoken to on: one writer that commits in groups, and a few readers.
//!
//! Whatever waits for the writer goes into one transaction, and is answered after the commit: one sync to disk for all of
//! them. If that fails, each is made again in a savepoint of its own, so that a change that can't be made takes back only
//! itself. Savepoints from the beginning would have every page that changes copied for each of them.

use std::{
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
    time::{Duration, Instant},
};

use diesel::{Connection, QueryResult, SqliteConnection, connection::SimpleConnection};
use tokio::sync::{mpsc, oneshot};

use super::counts::CountChanges;
use crate::{
    error::{Result, StoreError},
    measure::{self, Calls},
};

/// How many writes go into one commit at most.
const GROUP: usize = 512;

/// How many calls may wait; more wait before they are handed over.
const QUEUE: usize = 4_096;

/// How long a call may take, waiting included.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long others may be in the way of opening the database.
const OPENING: Duration = Duration::from_secs(10);

/// How many readers there are.
const READERS: usize = 4;

/// How many more there are for what may take long, so that it never stands in front of what does not.
pub const SLOW_READERS: usize = 2;

type Write = Box<dyn Change>;
type Read = Box<dyn FnOnce(&mut SqliteConnection) + Send>;

/// The way to the threads. They end when it is dropped.
pub struct Threads {
    reading: Calls,
    writing: Calls,
    writer: mpsc::Sender<Write>,
    readers: mpsc::Sender<Read>,
    slow_readers: mpsc::Sender<Read>,
    /// For look-ups that are made where they are asked for.
    here: Vec<Mutex<SqliteConnection>>,
}

impl Threads {
    /// Starts the threads on the database in this file.
    pub fn start(path: &Path) -> Result<Self> {
        let (writer, writes) = mpsc::channel(QUEUE);
        let connection = connect(path)?;
        spawn("sqlite-writer", {
            let path = path.to_owned();
            move || write_groups(&path, connection, writes)
        })?;
        let readers = start_readers(path, "sqlite-reader", READERS)?;
        let slow_readers = start_readers(path, "sqlite-slow", SLOW_READERS)?;
        let places = thread::available_parallelism().map_or(READERS, NonZero::get);
        let here = (0..places).map(|_| connect_to_look_up(path).map(Mutex::new)).collect::<Result<_>>()?;
        Ok(Self { reading: Calls::new("read"), writing: Calls::new("write"), writer, readers, slow_readers, here })
    }

    /// Runs `change` in a transaction and returns once that is on disk. It runs again if the transaction was taken back,
    /// for others' sake.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl Fn(&mut SqliteConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write_counted(move |writing| change(writing.connection)).await
    }

    /// The same for a change that may be one of the counts, too.
    pub async fn write_counted<T: Send + 'static>(
        &self,
        change: impl Fn(&mut Writing<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = oneshot::channel();
        let write: Write = Box::new(Call { change, result: None, tell });
        let call = self.writing.begin();
        call.end(in_time(answered(&self.writer, write, told)).await)
    }

    /// Runs `question` on one snapshot.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut SqliteConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let call = self.reading.begin();
        call.end(in_time(asked(&self.readers, question)).await)
    }

    /// Asks for one row by its key, on the caller's own thread: that takes a few microseconds, less than to hand it to
    /// another thread and back. Nothing if no connection is free, or if it did not succeed: then it is for [`Self::read`],
    /// which has time.
    pub fn look_up<T>(&self, question: impl FnOnce(&mut SqliteConnection) -> Result<T>) -> Option<T> {
        let mut connection = self.here.iter().find_map(free)?;
        let call = self.reading.begin();
        call.end(question(&mut connection)).ok()
    }

    /// The same for a question that may take long.
    pub async fn read_slowly<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut SqliteConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let call = self.reading.begin();
        call.end(in_time(self.read_at_leisure(question)).await)
    }

    /// The same for a question that may take as long as it needs.
    pub async fn read_at_leisure<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut SqliteConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        asked(&self.slow_readers, question).await
    }
}

/// Starts so many threads that read.
fn start_readers(path: &Path, name: &str, readers: usize) -> Result<mpsc::Sender<Read>> {
    let (sender, reads) = mpsc::channel(QUEUE);
    let reads = Arc::new(Mutex::new(reads));
    for _ in 0..readers {
        let connection = connect(path)?;
        let (path, reads) = (path.to_owned(), Arc::clone(&reads));
        spawn(name, move || answer_reads(&path, connection, &reads))?;
    }
    Ok(sender)
}

/// Has a question answered by these readers; not at all, if nobody waits for it any more when its turn comes.
async fn asked<T: Send + 'static>(
    readers: &mpsc::Sender<Read>,
    question: impl FnOnce(&mut SqliteConnection) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (tell, told) = oneshot::channel();
    let read: Read = Box::new(move |connection| {
        if !tell.is_closed() {
            drop(tell.send(connection.transaction(question)));
        }
    });
    answered(readers, read, told).await
}

/// A transaction in which changes are made.
pub struct Writing<'a> {
    pub connection: &'a mut SqliteConnection,
    /// Made at its end, all at once.
    pub counts: CountChanges,
}

impl<'a> Writing<'a> {
    /// Runs `change`, and then makes the changes of the counts.
    pub fn run<T>(connection: &'a mut SqliteConnection, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut writing = Self { connection, counts: CountChanges::default() };
        let made = change(&mut writing)?;
        writing.counts.make(writing.connection)?;
        Ok(made)
    }
}

/// A change that somebody waits for.
trait Change: Send {
    /// Makes it; an error has the transaction taken back.
    fn make(&mut self, writing: &mut Writing<'_>) -> QueryResult<()>;

    /// Tells the caller what came of it the last time, once it is known whether that was committed.
    fn tell(self: Box<Self>, committed: Result<(), String>);
}

struct Call<F, T> {
    change: F,
    result: Option<Result<T>>,
    tell: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: Fn(&mut Writing<'_>) -> Result<T> + Send> Change for Call<F, T> {
    fn make(&mut self, writing: &mut Writing<'_>) -> QueryResult<()> {
        let result = self.result.insert((self.change)(writing));
        if result.is_ok() { Ok(()) } else { Err(diesel::result::Error::RollbackTransaction) }
    }

    fn tell(self: Box<Self>, committed: Result<(), String>) {
        let made = self.result.unwrap_or_else(|| Err(unavailable("it was not begun")));
        let result = match committed {
            Ok(()) => made,
            Err(reason) => made.and(Err(StoreError::Unavailable(reason))),
        };
        // A caller that does not wait any more is not told.
        drop(self.tell.send(result));
    }
}

/// What nobody uses just now. After a panic it is as good as ever: a look-up leaves nothing behind.
fn free<T>(place: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match place.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable(reason.to_owned())
}

async fn answered<J, T>(queue: &mpsc::Sender<J>, job: J, told: oneshot::Receiver<Result<T>>) -> Result<T> {
    queue.send(job).await.map_err(|_| unavailable("the database's thread has ended"))?;
    told.await.map_err(|_| unavailable("the call was interrupted"))?
}

async fn in_time<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(DEADLINE, answer).await.map_err(|_| unavailable("no answer in time"))?
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(drop).map_err(|error| StoreError::Open(format!("no thread for the database: {error}")))
}

/// Opens a connection with the settings that every one of ours has.
pub fn connect(path: &Path) -> Result<SqliteConnection> {
    let open = || -> Result<SqliteConnection, String> {
        let url = path.to_str().ok_or("its name is not UTF-8")?;
        let mut connection = SqliteConnection::establish(url).map_err(|error| error.to_string())?;
        // Pages that change often are written back less often if the log may hold 4,000 of them (16 MB) instead of 1,000.
        connection
            .batch_execute(
                "pragma busy_timeout = 10000; pragma journal_mode = wal; pragma synchronous = full; \
                 pragma foreign_keys = on; pragma temp_store = memory; pragma cache_size = -8000; \
                 pragma journal_size_limit = 67108864; pragma wal_autocheckpoint = 4000;",
            )
            .map_err(|error| error.to_string())?;
        Ok(connection)
    };
    let began = Instant::now();
    loop {
        match open() {
            // Whoever makes the log needs the database alone for a moment, which SQLite does not wait for.
            Err(reason) if reason.contains("is locked") && began.elapsed() < OPENING => {
                thread::sleep(Duration::from_millis(10));
            }
            opened => {
                return opened.map_err(|reason| {
                    StoreError::Open(format!("the SQLite database {} can't be opened: {reason}", path.display()))
                });
            }
        }
    }
}

/// Opens a connection that waits for nobody.
fn connect_to_look_up(path: &Path) -> Result<SqliteConnection> {
    let mut connection = connect(path)?;
    connection.batch_execute("pragma busy_timeout = 0; pragma query_only = on")?;
    Ok(connection)
}

/// Opens a connection again after a panic or a transaction that could not be ended, as often as it takes.
fn reconnect(path: &Path) -> SqliteConnection {
    loop {
        match connect(path) {
            Ok(connection) => return connection,
            Err(error) => {
                tracing::error!(%error, "opening the database again");
                thread::sleep(Duration::from_millis(500));
            }
        }
    }
}

fn write_groups(path: &Path, mut connection: SqliteConnection, mut writes: mpsc::Receiver<Write>) {
    let batches = measure::batches();
    while let Some(first) = writes.blocking_recv() {
        // Changes that are dropped tell their callers that they were interrupted.
        let group = catch_unwind(AssertUnwindSafe(|| {
            let mut group = vec![first];
            let together = write_together(&mut connection, &mut group, &mut writes);
            #[expect(clippy::cast_precision_loss, reason = "a group is small")]
            batches.record(group.len() as f64);
            let committed = match together {
                Ok(()) => Ok(vec![Ok(()); group.len()]),
                Err(_) => write_one_by_one(&mut connection, &mut group).map_err(|error| error.to_string()),
            };
            let outcome = committed.clone().map(drop);
            let committed = committed.unwrap_or_else(|reason| vec![Err(reason); group.len()]);
            group.into_iter().zip(committed).for_each(|(change, committed)| change.tell(committed));
            outcome
        }));
        if !matches!(group, Ok(Ok(()))) {
            tracing::error!(outcome = ?group.as_ref().ok(), "a group of writes was not committed");
            connection = reconnect(path);
        }
    }
}

/// Makes these changes, and those that come meanwhile, in one transaction.
fn write_together(
    connection: &mut SqliteConnection,
    group: &mut Vec<Write>,
    more: &mut mpsc::Receiver<Write>,
) -> Result<()> {
    let make_all = |writing: &mut Writing<'_>| {
        let mut made = 0;
        while let Some(change) = group.get_mut(made) {
            change.make(writing)?;
            made += 1;
            if made < GROUP {
                group.extend(more.try_recv());
            }
        }
        Ok(())
    };
    connection.immediate_transaction(|connection| Writing::run(connection, make_all))
}

/// Makes these changes in one transaction, those that can be made; tells which.
fn write_one_by_one(connection: &mut SqliteConnection, group: &mut [Write]) -> Result<Vec<Result<(), String>>> {
    connection.immediate_transaction(|connection| {
        let each = group.iter_mut().map(|change| {
            let make = |writing: &mut Writing<'_>| Ok(change.make(writing)?);
            let made = connection.transaction(|connection| Writing::run(connection, make));
            made.map_err(|error| error.to_string())
        });
        Ok(each.collect())
    })
}

fn answer_reads(path: &Path, mut connection: SqliteConnection, reads: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        let next = reads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(read) = next else { return };
        if catch_unwind(AssertUnwindSafe(|| read(&mut connection))).is_err() {
            connection = reconnect(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use diesel::{RunQueryDsl as _, dsl::sql, sql_types::BigInt};
    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    /// A database with a table of numbers.
    fn threads() -> (tempfile::TempDir, Threads) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("convoke.db");
        connect(&path).unwrap().batch_execute("create table numbers (number integer not null)").unwrap();
        let threads = Threads::start(&path).unwrap();
        (folder, threads)
    }

    fn count(connection: &mut SqliteConnection) -> Result<i64> {
        Ok(diesel::select(sql::<BigInt>("(select count(*) from numbers)")).get_result(connection)?)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_that_fails_takes_back_only_itself_and_the_others_are_made_once() {
        const CHANGES: i32 = 90;
        let (_folder, threads) = threads();
        let (begin, may_begin) = std::sync::mpsc::channel::<()>();
        let may_begin = Mutex::new(may_begin);
        // The writer is busy until all others wait for it: they come into one group.
        let busy = threads.write(move |_| {
            may_begin.lock().unwrap().recv().ok();
            Ok(())
        });
        let insert = |number: i32| {
            threads.write(move |connection| {
                connection.batch_execute(&format!("insert into numbers values ({number})"))?;
                if number % 3 == 0 { Err(StoreError::Inconsistent(number.to_string())) } else { Ok(number) }
            })
        };
        let others: Vec<_> = (1..=CHANGES).map(insert).collect();
        let number = others.len();
        let line_up = async {
            while threads.writer.max_capacity() - threads.writer.capacity() < number {
                tokio::task::yield_now().await;
            }
            drop(begin);
        };
        let (busy, others, ()) = tokio::join!(busy, join_all(others), line_up);
        busy.unwrap();
        for (number, outcome) in (1..=CHANGES).zip(others) {
            match outcome {
                Ok(made) => assert_eq!((made, number % 3 == 0), (number, false)),
                Err(error) => assert!(error.to_string().contains(&number.to_string()), "{number}: {error}"),
            }
        }
        assert_eq!(threads.read(count).await.unwrap(), i64::from(CHANGES / 3 * 2));
        let sum = |connection: &mut SqliteConnection| {
            Ok(diesel::select(sql::<BigInt>("(select sum(number) from numbers)")).get_result::<i64>(connection)?)
        };
        let made: i32 = (1..=CHANGES).filter(|number| number % 3 != 0).sum();
        assert_eq!(threads.read(sum).await.unwrap(), i64::from(made));
    }

    #[tokio::test]
    async fn without_room_nothing_is_said_to_be_there_that_is_not_and_with_room_all_is_well_again() {
        const PAGES: i64 = 64;
        let (_folder, threads) = threads();
        let limit = |pages: i64| {
            threads.write(move |connection| Ok(connection.batch_execute(&format!("pragma max_page_count = {pages}"))?))
        };
        let insert = |number: i64| {
            threads.write(move |connection| {
                // Every fourth takes more room than there is: SQLite takes the whole transaction back.
                let pages = if number % 4 == 0 { PAGES } else { 0 };
                connection.batch_execute(&format!(
                    "insert into blobs values (zeroblob({pages} * 4096)); insert into numbers values ({number})"
                ))?;
                Ok(number)
            })
        };
        threads.write(|connection| Ok(connection.batch_execute("create table blobs (bytes blob)")?)).await.unwrap();
        limit(PAGES).await.unwrap();
        let without_room = join_all((1..=20).map(insert)).await;
        let made = without_room.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(made < 20);
        assert_eq!(threads.read(count).await.unwrap(), i64::try_from(made).unwrap());
        limit(1_000_000).await.unwrap();
        for outcome in join_all((1..=20).map(insert)).await {
            outcome.unwrap();
        }
        assert_eq!(threads.read(count).await.unwrap(), i64::try_from(made).unwrap() + 20);
    }

    #[tokio::test]
    async fn what_takes_long_keeps_nobody_waiting_and_is_not_begun_if_nobody_waits_for_it() {
        let (_folder, threads) = threads();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        let slow = |_: usize| {
            let ended = Arc::clone(&ended);
            // Ends once there is nobody who could say that it should go on.
            threads.read_slowly(move |connection| {
                let _ = ended.lock().unwrap_or_else(PoisonError::into_inner).recv();
                count(connection)
            })
        };
        let begun = Arc::new(Mutex::new(0));
        let given_up = |_: usize| {
            let begun = Arc::clone(&begun);
            threads.read_slowly(move |_| {
                *begun.lock().unwrap() += 1;
                Ok(())
            })
        };
        let mut all_slow = Box::pin(join_all((0..SLOW_READERS).map(slow)));
        assert!((&mut all_slow).now_or_never().is_none());
        let mut gone = Box::pin(join_all((0..10).map(given_up)));
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        assert_eq!(threads.read(count).await.unwrap(), 0);
        drop(end);
        assert!(all_slow.await.iter().all(Result::is_ok));
        // Behind those who have gone, for each of the readers.
        assert!(join_all((0..SLOW_READERS).map(|_| threads.read_slowly(count))).await.iter().all(Result::is_ok));
        assert_eq!(*begun.lock().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_that_of_its_call_and_the_threads_go_on() {
        const ROUNDS: i64 = 200;
        let (_folder, threads) = threads();
        let broken = |called: Result<()>| assert!(matches!(called, Err(StoreError::Unavailable(_))), "{called:?}");
        for round in 1..=ROUNDS {
            broken(
                threads
                    .write(|connection| {
                        connection.batch_execute("insert into numbers values (-1)")?;
                        panic!("on purpose")
                    })
                    .await,
            );
            broken(threads.read(|_| panic!("on purpose")).await);
            let looked_up =
                catch_unwind(AssertUnwindSafe(|| threads.look_up(|_| -> Result<()> { panic!("on purpose") })));
            assert!(looked_up.is_err());
            threads.write(|connection| Ok(connection.batch_execute("insert into numbers values (1)")?)).await.unwrap();
            assert_eq!(threads.read(count).await.unwrap(), round);
            assert_eq!(threads.look_up(count), Some(round));
        }
    }
}
