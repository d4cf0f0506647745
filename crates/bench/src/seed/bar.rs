//! How far the filling of a database has come, for people at a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for this many chats; nothing where standard error is no terminal.
pub fn of_chats(chats: u64) -> ProgressBar {
    const TEMPLATE: &str = "{msg} {wide_bar} {human_pos} of {human_len}, {elapsed}, {eta} to go";
    let style = ProgressStyle::with_template(TEMPLATE).expect("a template that can be drawn");
    ProgressBar::new(chats).with_style(style).with_message("chats")
}

/// What comes after the rows, of which nobody knows how long it takes.
pub fn of_the_rest(step: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}").expect("a template that can be drawn");
    let bar = ProgressBar::new_spinner().with_style(style).with_message(step);
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}
