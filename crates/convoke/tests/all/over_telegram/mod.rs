//! Telegram through the whole service: the real binary, real databases, the real wire protocol.

mod creation;
mod messenger;
mod processes;
mod record;
mod story;
