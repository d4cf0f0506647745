//! What is asked for at the same time is read together, by one statement: most of what a short read costs is the
//! statement around it. Whoever asks alone is answered by a simpler one, at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel_async::AsyncPgConnection;
use tokio::{sync::oneshot, time::timeout};

use super::{
    deadline::of_a_call,
    failure::{Outcome, of_one},
    pipeline::{Over, Pipelines},
    pool::late,
};
use crate::error::{Result, StoreError};

/// How many rows are read together at most: a client that waits for a few should not wait for very many.
const ROWS: usize = 200;
/// How many are answered together at most.
const AT_ONCE: usize = 32;
/// How many statements of a thread are under way at once. While one is, whoever asks waits for its end, so that the next
/// one is worth its while; only if more wait than that will read, another one goes out before.
const TURNS: usize = 4;
/// How many wait at most; beyond them the answer is that the database does not keep up.
const WAITING: usize = 8_192;

/// Something that may be read together with others.
pub trait Question: Send + Sync + Sized + 'static {
    /// What is read.
    type Answer: Send + 'static;

    /// Over which connection.
    const OVER: Over;

    /// How many rows are read for it.
    fn rows(&self) -> usize;

    /// Whether one statement can answer both.
    fn goes_with(&self, other: &Self) -> bool;

    /// Reads it alone.
    fn read(&self, queries: &AsyncPgConnection) -> impl Future<Output = Outcome<Self::Answer>> + Send;

    /// Reads some that go with each other, by one statement, and answers in their order. What is wrong with one of them is
    /// told to whom it is for.
    fn read_all(
        queries: &AsyncPgConnection,
        questions: &[&Self],
    ) -> impl Future<Output = Outcome<Vec<Result<Self::Answer>>>> + Send;
}

/// Reads what is asked for, that of a thread together.
pub struct Together<Q: Question> {
    pipelines: Arc<Pipelines>,
    places: Vec<Arc<Place<Q>>>,
}

/// Who waits on a thread.
struct Place<Q: Question>(Mutex<State<Q>>);

/// While anybody waits, somebody has a turn and reads for them.
struct State<Q: Question> {
    turns: usize,
    waiting: Vec<Asked<Q>>,
}

/// Somebody who waits for an answer.
struct Asked<Q: Question> {
    question: Q,
    answer: oneshot::Sender<Result<Q::Answer>>,
}

impl<Q: Question> Together<Q> {
    pub fn new(pipelines: Arc<Pipelines>) -> Self {
        let place = || Arc::new(Place(Mutex::new(State { turns: 0, waiting: Vec::new() })));
        Self { places: (0..pipelines.places()).map(|_| place()).collect(), pipelines }
    }

    /// The answer to this question.
    pub async fn ask(&self, question: Q) -> Result<Q::Answer> {
        let call = self.pipelines.begin();
        let place = &self.places[self.pipelines.place()];
        let answer = async {
            let answered = timeout(of_a_call(), place.enter(question, &self.pipelines)?).await.map_err(|_| late())?;
            answered.map_err(|_| StoreError::Unavailable("the reading was interrupted".to_owned()))?
        };
        call.end(answer.await)
    }
}

/// How many of these are read together at most.
fn at_once<Q: Question>(question: &Q) -> usize {
    (ROWS / question.rows()).clamp(1, AT_ONCE)
}

impl<Q: Question> Place<Q> {
    fn state(&self) -> MutexGuard<'_, State<Q>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(
        self: &Arc<Self>,
        question: Q,
        pipelines: &Arc<Pipelines>,
    ) -> Result<oneshot::Receiver<Result<Q::Answer>>> {
        let mut state = self.state();
        if state.waiting.len() >= WAITING {
            return Err(StoreError::Unavailable("too many reads are waiting".to_owned()));
        }
        let worth_a_statement = at_once(&question);
        let (answer, answered) = oneshot::channel();
        state.waiting.push(Asked { question, answer });
        if state.turns == 0 || (state.turns < TURNS && state.waiting.len() > worth_a_statement) {
            state.turns += 1;
            // A task of its own, for whoever asked may go away. It begins once those who have arrived together have all
            // asked.
            tokio::spawn(read_on(pipelines.clone(), Turn(Some(self.clone()))));
        }
        Ok(answered)
    }
}

/// The right to have a statement under way.
struct Turn<Q: Question>(Option<Arc<Place<Q>>>);

impl<Q: Question> Turn<Q> {
    /// Who has waited longest, and those who can be answered along with them. If nobody waits, the turn is given back.
    fn next(&mut self) -> Option<Vec<Asked<Q>>> {
        let mut state = self.0.as_ref()?.state();
        // Whoever gave up needs no answer.
        state.waiting.retain(|asked| !asked.answer.is_closed());
        if state.waiting.is_empty() {
            state.turns -= 1;
            drop(state);
            self.0 = None;
            return None;
        }
        let mut asked = vec![state.waiting.remove(0)];
        let first = &asked[0].question;
        let mut left = at_once(first) - 1;
        let along = state.waiting.extract_if(.., |other| {
            let goes_along = left > 0 && first.goes_with(&other.question);
            left -= usize::from(goes_along);
            goes_along
        });
        let along: Vec<Asked<Q>> = along.collect();
        asked.extend(along);
        Some(asked)
    }
}

/// Its task was ended in the middle, with its runtime: those who wait are told so.
impl<Q: Question> Drop for Turn<Q> {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            let mut state = place.state();
            state.turns -= 1;
            state.waiting.clear();
        }
    }
}

async fn one_by_one<Q: Question>(queries: &AsyncPgConnection, questions: &[&Q]) -> Outcome<Vec<Result<Q::Answer>>> {
    let mut answers = Vec::with_capacity(questions.len());
    for question in questions {
        answers.push(match question.read(queries).await {
            Err(failure) if failure.is_servers_own() => Err(failure.into()),
            outcome => of_one(outcome)?,
        });
    }
    Ok(answers)
}

/// Reads for those who wait until nobody does.
async fn read_on<Q: Question>(pipelines: Arc<Pipelines>, mut turn: Turn<Q>) {
    while let Some(asked) = turn.next() {
        let questions: Vec<&Q> = asked.iter().map(|asked| &asked.question).collect();
        let questions = questions.as_slice();
        let read = pipelines.ask_for_many(Q::OVER, |shared| async move {
            match questions {
                [alone] => Ok(vec![Ok(alone.read(shared.queries()).await?)]),
                many => match Q::read_all(shared.queries(), many).await {
                    // One of them is at fault: it should harm nobody else.
                    Err(failure) if failure.is_servers_own() => one_by_one(shared.queries(), many).await,
                    outcome => outcome,
                },
            }
        });
        // Whoever does not wait any more is not told.
        match read.await {
            Ok(answers) => asked.into_iter().zip(answers).for_each(|(asked, answer)| drop(asked.answer.send(answer))),
            Err(error) => asked.into_iter().for_each(|asked| drop(asked.answer.send(Err(error.clone())))),
        }
    }
}
