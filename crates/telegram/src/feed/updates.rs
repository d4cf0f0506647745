//! The stream of updates, as it is told and as far as it was taken in.
//!
//! grammers' own reader of the stream keeps what it fetched ahead of what it gave out, and its state with it: a crash
//! between the two would lose updates. So its message boxes, which know what follows upon what, are driven from here:
//! their state after a step is that of everything which this step told.

use std::time::Instant;

use convoke_provider::StorageError;
use grammers_client::tl;
use grammers_session::{
    types::{ChannelState, UpdatesState},
    updates::{MessageBoxes, PrematureEndReason, State, UpdateAndPeers, UpdatesLike},
};
use serde::{Deserialize, Serialize};

/// How many updates of a channel are asked for at once; accounts that are no bots get no more.
const CHANNEL_LIMIT: i32 = 100;

/// A supergroup's counter before anything happened in it.
const FIRST_PTS: i32 = 1;

/// How far the account's own updates have been taken in: what is kept of its feed. Those of each group are kept with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    pub pts: i32,
    pub qts: i32,
    pub date: i32,
    pub seq: i32,
}

impl Position {
    /// Before anything happened.
    pub const BEGINNING: Self = Self { pts: 1, qts: 0, date: 1, seq: 0 };

    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_text(text: &str) -> Result<Self, StorageError> {
        serde_json::from_str(text).map_err(|error| StorageError(error.into()))
    }

    /// The text that is kept.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("numbers become JSON")
    }
}

impl From<tl::enums::updates::State> for Position {
    fn from(tl::enums::updates::State::State(state): tl::enums::updates::State) -> Self {
        Self { pts: state.pts, qts: state.qts, date: state.date, seq: state.seq }
    }
}

/// What the server is to be asked for, before what it tells by itself makes sense again.
#[derive(Debug)]
pub enum Missing {
    /// What happened to the account.
    Common(tl::functions::updates::GetDifference),
    /// What happened in the channel; its access hash is to be filled in.
    Channel(i64, tl::functions::updates::GetChannelDifference),
}

/// The stream of an account's updates.
#[derive(Debug)]
pub struct Updates {
    boxes: MessageBoxes,
    /// Channels in which more happened than Telegram tells by itself.
    too_long: Vec<i64>,
}

impl Updates {
    /// Goes on from where everything had been taken in: what came since is missing, of the account and of each channel.
    pub fn from(position: &Position, channels: impl Iterator<Item = (i64, Option<i32>)>) -> Self {
        let channels = channels.map(|(id, pts)| ChannelState { id, pts: pts.unwrap_or(FIRST_PTS) }).collect();
        let Position { pts, qts, date, seq } = *position;
        Self { boxes: MessageBoxes::load(UpdatesState { pts, qts, date, seq, channels }), too_long: Vec::new() }
    }

    /// How far the account's own updates have been told.
    pub fn position(&self) -> Position {
        let UpdatesState { pts, qts, date, seq, .. } = self.boxes.session_state();
        Position { pts, qts, date, seq }
    }

    /// How far each channel's updates have been told.
    pub fn channels(&self) -> impl Iterator<Item = (i64, i32)> + use<> {
        self.boxes.session_state().channels.into_iter().map(|channel| (channel.id, channel.pts))
    }

    /// Takes in what came by itself. Nothing comes of what does not follow upon what was told before: what lies between
    /// is missing then.
    pub fn take(&mut self, mut updates: UpdatesLike) -> UpdateAndPeers {
        match &mut updates {
            UpdatesLike::Updates(tl::enums::Updates::Updates(several)) => self.stay(&mut several.updates),
            UpdatesLike::Updates(tl::enums::Updates::Combined(several)) => self.stay(&mut several.updates),
            UpdatesLike::Updates(tl::enums::Updates::UpdateShort(short)) => {
                self.stay(std::slice::from_mut(&mut short.update));
            }
            _ => {}
        }
        self.boxes.process_updates(updates).unwrap_or_default()
    }

    /// A channel of which too much is to be told is asked for from where it was told. Telegram says where it is now as
    /// well, and the boxes would go on from there, past what is missing.
    fn stay(&mut self, updates: &mut [tl::enums::Update]) {
        for update in updates {
            let tl::enums::Update::ChannelTooLong(too_long) = update else { continue };
            if self.channels().any(|(channel, _)| channel == too_long.channel_id) {
                too_long.pts = None;
            }
            self.too_long.push(too_long.channel_id);
        }
    }

    /// The channels in which more happened than Telegram told by itself, since this was asked last.
    pub fn take_too_long(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.too_long)
    }

    /// Follows a channel from where it had been taken in, or else from its beginning: what came since is missing.
    pub fn follow(&mut self, channel_id: i64, pts: Option<i32>) {
        self.miss(channel_id, Some(pts.unwrap_or(FIRST_PTS)));
    }

    /// Says that updates of a channel may have been lost.
    pub fn doubt(&mut self, channel_id: i64) {
        self.miss(channel_id, None);
    }

    fn miss(&mut self, channel_id: i64, pts: Option<i32>) {
        let update = tl::types::UpdateChannelTooLong { channel_id, pts }.into();
        let short = tl::types::UpdateShort { update, date: self.position().date };
        // It only marks the channel: nothing comes of it by itself.
        let _ = self.boxes.process_updates(UpdatesLike::Updates(short.into()));
    }

    /// What is missing, if anything is. It is also asked for if nothing came for a long time.
    pub fn missing(&mut self) -> Option<Missing> {
        self.boxes.check_deadlines();
        if let Some(request) = self.boxes.get_difference() {
            return Some(Missing::Common(request));
        }
        let mut request = self.boxes.get_channel_difference()?;
        request.limit = CHANNEL_LIMIT;
        let tl::enums::InputChannel::Channel(channel) = &request.channel else { return None };
        Some(Missing::Channel(channel.channel_id, request))
    }

    /// When something will be missing, if nothing comes before.
    pub fn deadline(&mut self) -> Instant {
        self.boxes.check_deadlines()
    }

    /// Takes in what was missing of the account.
    pub fn take_common(&mut self, mut difference: tl::enums::updates::Difference) -> UpdateAndPeers {
        match &mut difference {
            tl::enums::updates::Difference::Difference(whole) => self.stay(&mut whole.other_updates),
            tl::enums::updates::Difference::Slice(part) => self.stay(&mut part.other_updates),
            _ => {}
        }
        self.boxes.apply_difference(difference)
    }

    /// Takes in what was missing of the channel that was asked for last.
    pub fn take_channel(&mut self, difference: tl::enums::updates::ChannelDifference) -> UpdateAndPeers {
        let mut passed_over = Vec::new();
        if let tl::enums::updates::ChannelDifference::TooLong(too_long) = &difference {
            if !matches!(&too_long.dialog, tl::enums::Dialog::Dialog(dialog) if dialog.pts.is_some()) {
                self.give_up();
                return UpdateAndPeers::default();
            }
            // The newest ones, which do not follow upon what was told.
            passed_over.clone_from(&too_long.messages);
            passed_over.sort_by_key(tl::enums::Message::id);
        }
        let (mut updates, users, chats) = self.boxes.apply_channel_difference(difference);
        let Position { date, seq, .. } = self.position();
        updates.extend(passed_over.into_iter().map(|message| {
            let update = tl::types::UpdateNewChannelMessage { message, pts: 0, pts_count: 0 };
            (update.into(), State { date, seq, message_box: None })
        }));
        (updates, users, chats)
    }

    /// Goes on without what is missing of the account.
    pub fn give_up_common(&mut self) {
        if self.boxes.get_difference().is_some() {
            let Position { date, seq, .. } = self.position();
            self.boxes.apply_difference(tl::types::updates::DifferenceEmpty { date, seq }.into());
        }
    }

    /// Goes on without what is missing of the channel that was asked for last, for the time being.
    pub fn give_up(&mut self) {
        self.boxes.end_channel_difference(PrematureEndReason::TemporaryServerIssues);
    }

    /// Forgets the channel that was asked for last.
    pub fn forget_channel(&mut self) {
        self.boxes.end_channel_difference(PrematureEndReason::Banned);
    }
}

#[cfg(test)]
mod tests {
    use grammers_client::tl::{Deserializable, Identifiable, Serializable, enums::updates::ChannelDifference};

    use super::*;
    use crate::feed::samples::{CHANNEL, service};

    const POSITION: Position = Position { pts: 7, qts: 1, date: 1_733_907_243, seq: 3 };

    /// What is asked for of a channel, once the account itself missed nothing.
    fn asked_for(updates: &mut Updates) -> Option<(i64, i32)> {
        let nothing = tl::types::updates::DifferenceEmpty { date: POSITION.date, seq: POSITION.seq };
        if let Some(Missing::Common(_)) = updates.missing() {
            updates.take_common(nothing.into());
        }
        match updates.missing()? {
            Missing::Channel(channel, request) => Some((channel, request.pts)),
            Missing::Common(request) => panic!("nothing was missing: {request:?}"),
        }
    }

    fn title(id: i32) -> tl::enums::Message {
        service(id, Some(7), POSITION.date, tl::types::MessageActionChatEditTitle { title: "Two".to_owned() })
    }

    fn ids(taken: &UpdateAndPeers) -> Vec<i32> {
        let id = |update: &tl::enums::Update| match update {
            tl::enums::Update::NewChannelMessage(update) => update.message.id(),
            other => panic!("a message, not {other:?}"),
        };
        taken.0.iter().map(|(update, _)| id(update)).collect()
    }

    fn too_long(dialog: tl::enums::Dialog, messages: Vec<tl::enums::Message>) -> ChannelDifference {
        let (chats, users) = (Vec::new(), Vec::new());
        tl::types::updates::ChannelDifferenceTooLong { r#final: true, timeout: None, dialog, messages, chats, users }
            .into()
    }

    /// A dialog of the channel, of as few bytes as it can be made of.
    fn dialog(pts: Option<i32>) -> tl::enums::Dialog {
        let flags = u32::from(pts.is_some()).to_bytes();
        let peer: tl::enums::Peer = tl::types::PeerChannel { channel_id: CHANNEL }.into();
        let numbers = [0i32; 7].map(|number| number.to_bytes()).concat();
        let settings = [tl::types::PeerNotifySettings::CONSTRUCTOR_ID, 0].map(|number| number.to_bytes()).concat();
        let pts = pts.map(|pts| pts.to_bytes()).unwrap_or_default();
        let bytes = [flags, peer.to_bytes(), numbers, settings, pts].concat();
        tl::types::Dialog::from_bytes(&bytes).expect("a dialog").into()
    }

    #[test]
    fn a_position_is_read_as_it_was_written() {
        assert_eq!(Position::from_text(&POSITION.to_text()).unwrap(), POSITION);
        let newer = r#"{"pts":7,"qts":1,"date":1733907243,"seq":3,"addedLater":true}"#;
        assert_eq!(Position::from_text(newer).unwrap(), POSITION);
        assert!(Position::from_text("{}").is_err());
    }

    #[test]
    fn what_came_since_is_asked_for_of_the_account_and_of_each_channel() {
        let mut updates = Updates::from(&POSITION, [(CHANNEL, Some(9))].into_iter());
        let Some(Missing::Common(request)) = updates.missing() else { panic!("the account comes first") };
        assert_eq!((request.pts, request.date), (POSITION.pts, POSITION.date));
        assert_eq!(asked_for(&mut updates), Some((CHANNEL, 9)));
        let nothing = tl::types::updates::ChannelDifferenceEmpty { r#final: true, pts: 9, timeout: None };
        assert_eq!(ids(&updates.take_channel(nothing.into())), [0; 0]);
        assert!(updates.missing().is_none());
        assert_eq!((updates.position(), updates.channels().collect::<Vec<_>>()), (POSITION, vec![(CHANNEL, 9)]));
    }

    #[test]
    fn a_channel_that_was_never_told_of_is_followed_from_its_beginning() {
        let mut updates = Updates::from(&POSITION, std::iter::empty());
        assert_eq!(asked_for(&mut updates), None);
        updates.follow(CHANNEL, None);
        assert_eq!(asked_for(&mut updates), Some((CHANNEL, FIRST_PTS)));
        updates.follow(CHANNEL, Some(5));
        assert_eq!(asked_for(&mut updates), Some((CHANNEL, 5)));
        updates.give_up();
        assert_eq!(asked_for(&mut updates), None);
        updates.doubt(CHANNEL);
        assert_eq!(asked_for(&mut updates), Some((CHANNEL, 5)), "from where it was");
        updates.forget_channel();
        assert_eq!(updates.channels().count(), 0);
    }

    #[test]
    fn a_channel_that_is_too_far_behind_is_asked_for_from_where_it_was() {
        const ELSEWHERE: i64 = CHANNEL + 1;
        let mut updates = Updates::from(&POSITION, std::iter::empty());
        assert_eq!(asked_for(&mut updates), None);
        updates.follow(CHANNEL, Some(9));
        updates.give_up();
        assert_eq!(updates.take_too_long(), [0; 0]);
        let too_long =
            |channel_id| -> tl::enums::Update { tl::types::UpdateChannelTooLong { channel_id, pts: Some(40) }.into() };
        let short = |channel_id| tl::types::UpdateShort { update: too_long(channel_id), date: POSITION.date };
        let missed = |updates: &mut Updates| {
            let asked = asked_for(updates);
            updates.give_up();
            (asked, updates.take_too_long())
        };
        updates.take(UpdatesLike::Updates(short(CHANNEL).into()));
        assert_eq!(missed(&mut updates), (Some((CHANNEL, 9)), vec![CHANNEL]));
        updates.take(UpdatesLike::Updates(short(ELSEWHERE).into()));
        assert_eq!(missed(&mut updates), (Some((ELSEWHERE, 40)), vec![ELSEWHERE]), "it was nowhere yet");
        updates.take(UpdatesLike::ConnectionClosed);
        assert!(matches!(updates.missing(), Some(Missing::Common(_))));
        let Position { pts, qts, date, seq } = POSITION;
        updates.take_common(
            tl::types::updates::Difference {
                new_messages: Vec::new(),
                new_encrypted_messages: Vec::new(),
                other_updates: vec![too_long(CHANNEL)],
                chats: Vec::new(),
                users: Vec::new(),
                state: tl::types::updates::State { pts, qts, date, seq, unread_count: 0 }.into(),
            }
            .into(),
        );
        assert_eq!(missed(&mut updates), (Some((CHANNEL, 9)), vec![CHANNEL]));
    }

    #[test]
    fn what_is_left_of_too_long_a_difference_is_told_in_order() {
        let mut updates = Updates::from(&POSITION, [(CHANNEL, Some(9))].into_iter());
        assert_eq!(asked_for(&mut updates), Some((CHANNEL, 9)));
        let taken = updates.take_channel(too_long(dialog(Some(40)), vec![title(31), title(30)]));
        assert_eq!(ids(&taken), [30, 31]);
        assert_eq!(updates.channels().collect::<Vec<_>>(), [(CHANNEL, 40)], "it goes on from there");
        assert!(updates.missing().is_none());
    }

    #[test]
    fn a_difference_that_does_not_say_where_it_ends_is_given_up() {
        let mut updates = Updates::from(&POSITION, [(CHANNEL, Some(9))].into_iter());
        assert_eq!(asked_for(&mut updates), Some((CHANNEL, 9)));
        let taken = updates.take_channel(too_long(dialog(None), vec![title(31)]));
        assert_eq!(ids(&taken), [0; 0]);
        assert_eq!(updates.channels().collect::<Vec<_>>(), [(CHANNEL, 9)]);
        assert!(updates.missing().is_none());
    }

    #[test]
    fn an_account_that_is_not_told_what_it_missed_goes_on() {
        let mut updates = Updates::from(&POSITION, std::iter::empty());
        assert!(updates.missing().is_some());
        updates.give_up_common();
        assert!(updates.missing().is_none());
        assert_eq!(updates.position(), POSITION);
    }
}
