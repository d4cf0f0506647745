//! A QR code on the terminal, drawn again in the same place.

use std::io::{self, IsTerminal as _, Write as _};

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// Black on white, whatever the colours of the terminal: phones read it best so.
const COLOURS: &str = "\u{1b}[30;107m";
const NO_COLOURS: &str = "\u{1b}[0m";

/// Draws QR codes on standard error, each over the one before.
#[derive(Debug, Default)]
pub struct Drawing {
    /// How many lines the last one took.
    lines: usize,
}

impl Drawing {
    /// Draws what leads to `url`. Where standard error is no terminal, the URL stands in for it.
    pub fn draw(&mut self, url: &str) {
        let mut output = io::stderr().lock();
        let drawn = if output.is_terminal() { picture(url) } else { None };
        let text = match &drawn {
            Some(lines) => {
                let up = if self.lines > 0 { format!("\u{1b}[{}A", self.lines) } else { String::new() };
                self.lines = lines.len();
                let lines: Vec<_> = lines.iter().map(|line| format!("{COLOURS}{line}{NO_COLOURS}\n")).collect();
                up + &lines.concat()
            }
            None => format!("{url}\n"),
        };
        // Nobody may be looking.
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    }
}

/// The lines of the picture; nothing if the text is too long for one.
fn picture(text: &str) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    Some(code.render::<Dense1x2>().build().lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_link_fits_on_a_terminal() {
        let lines = picture("tg://login?token=AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkq").unwrap();
        assert!(lines.len() < 24 && lines.iter().all(|line| line.chars().count() == lines[0].chars().count()));
        assert!(lines[0].trim().is_empty(), "there is a margin");
    }
}
