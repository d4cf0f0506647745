//! Faults by script.

use std::collections::VecDeque;
use std::time::Duration;

use crate::refusal::Refusal;
use crate::server::TestServer;
use crate::world::UserId;

/// What happens to a call instead of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not executed, and refused.
    Refuse(Refusal),
    /// It is executed, and never answered; the connection stays.
    LoseAnswer,
    /// It is executed, and the connection is cut instead of the answer.
    CutAfter,
    /// It is not executed; the connection is cut.
    CutBefore,
    /// It is executed at once and answered after this time.
    AnswerLate(Duration),
    /// It is executed, and answered, after this time.
    ExecuteLate(Duration),
    /// It is neither executed nor answered, ever.
    Silent,
}

impl Fault {
    /// A refusal, as `Fault::refuse(420, "FLOOD_WAIT_7")`.
    #[must_use]
    pub fn refuse(code: i32, name: &str) -> Self {
        Self::Refuse(Refusal::new(code, name))
    }
}

/// What is still to come.
#[derive(Default)]
pub(crate) struct Script {
    faults: VecDeque<Line>,
    /// How many pushes are still dropped.
    pub drop_pushes: u32,
    /// How many pushes are still sent twice.
    pub double_pushes: u32,
}

struct Line {
    method: String,
    user: Option<UserId>,
    times: u32,
    fault: Fault,
}

impl Script {
    /// The fault of this call, if it has one.
    pub fn take(&mut self, method: &str, user: Option<UserId>) -> Option<Fault> {
        let at =
            self.faults.iter().position(|line| line.method == method && (line.user.is_none() || line.user == user))?;
        let line = &mut self.faults[at];
        let fault = line.fault.clone();
        line.times -= 1;
        if line.times == 0 {
            self.faults.remove(at);
        }
        Some(fault)
    }
}

impl TestServer {
    /// The next `times` calls of this method (`channels.createChannel`) by anybody meet this fault. Faults of one method
    /// are met in the order in which they were scripted.
    pub fn script(&self, method: &str, times: u32, fault: Fault) {
        self.add_line(method, None, times, fault);
    }

    /// As [`Self::script`], for the calls of one user.
    pub fn script_for(&self, user: UserId, method: &str, times: u32, fault: Fault) {
        self.add_line(method, Some(user), times, fault);
    }

    /// Forgets every fault that is still to come.
    pub fn clear_script(&self) {
        self.world().script = Script::default();
    }

    /// The next `count` pushes of updates are lost on the way; the differences still have them.
    pub fn drop_pushes(&self, count: u32) {
        self.world().script.drop_pushes = count;
    }

    /// The next `count` pushes of updates arrive twice.
    pub fn double_pushes(&self, count: u32) {
        self.world().script.double_pushes = count;
    }

    fn add_line(&self, method: &str, user: Option<UserId>, times: u32, fault: Fault) {
        if times > 0 {
            self.world().script.faults.push_back(Line { method: method.to_owned(), user, times, fault });
        }
    }
}
