//! Whom a login talks to: whoever sits at the terminal.

use std::io;

use async_trait::async_trait;
use convoke_telegram::LoginPrompt;
use secrecy::SecretString;

use super::qr_code::Drawing;
use crate::terminal;

/// Somebody at the terminal.
#[derive(Debug, Default)]
pub struct Prompt {
    drawing: Drawing,
    /// Whether it was said what the picture is for.
    explained: bool,
}

#[async_trait]
impl LoginPrompt for Prompt {
    async fn phone(&mut self) -> io::Result<String> {
        terminal::ask("Phone number, with its country's").await
    }

    async fn code(&mut self) -> io::Result<SecretString> {
        terminal::ask_secretly("Code that Telegram sent").await
    }

    async fn password(&mut self, hint: Option<&str>) -> io::Result<SecretString> {
        let hint = hint.map(printable).filter(|hint| !hint.is_empty());
        let hint = hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        terminal::ask_secretly(&format!("Password of the account{hint}")).await
    }

    async fn show_link(&mut self, link: &str) -> io::Result<()> {
        if !self.explained {
            eprintln!("Scan this with the account's phone: Settings, Devices, Link Desktop Device.");
            self.explained = true;
        }
        self.drawing.draw(link);
        Ok(())
    }
}

/// A text from elsewhere, which may do nothing to the terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
