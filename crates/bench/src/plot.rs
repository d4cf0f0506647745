//! Plots as SVG, drawn by hand: a few lines over two axes, each of which may be logarithmic.

use std::{collections::BTreeMap, fmt::Write as _};

/// How a plot is drawn.
pub struct Plot {
    /// Its name, also that of its file.
    pub name: &'static str,
    pub title: &'static str,
    pub x: Axis,
    pub y: Axis,
}

/// One of its axes.
pub struct Axis {
    pub label: &'static str,
    pub is_logarithmic: bool,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 55.0;

/// Colours that are told apart without seeing colours well (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// The values that an axis spans.
struct Scale<'a> {
    axis: &'a Axis,
    least: f64,
    most: f64,
}

impl<'a> Scale<'a> {
    fn new(axis: &'a Axis, values: impl Iterator<Item = f64> + Clone) -> Self {
        let most = values.clone().fold(f64::MIN, f64::max);
        let least = values.fold(f64::MAX, f64::min);
        if axis.is_logarithmic {
            let (least, most) = (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()));
            return Self { axis, least, most: most.max(least * 10.0) };
        }
        Self { axis, least: 0.0, most: round_up(most) }
    }

    /// Where a value lies, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        if self.axis.is_logarithmic {
            (value / self.least).log10() / (self.most / self.least).log10()
        } else {
            (value - self.least) / (self.most - self.least)
        }
    }

    fn ticks(&self) -> Vec<f64> {
        if self.axis.is_logarithmic {
            let decades = std::iter::successors(Some(self.least), |tick| Some(tick * 10.0));
            return decades.take_while(|tick| *tick < self.most * 1.5).collect();
        }
        (0..=5).map(|part| self.most * f64::from(part) / 5.0).collect()
    }
}

/// A number that is round, and this one at least.
fn round_up(number: f64) -> f64 {
    let decade = 10_f64.powf(number.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|step| step * decade).find(|round| *round >= number).unwrap_or(number)
}

fn label(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{} M", n / 1e6),
        n if n >= 1e3 => format!("{} k", n / 1e3),
        n => format!("{}", (n * 1000.0).round() / 1000.0),
    }
}

/// Draws the lines.
pub fn draw(plot: &Plot, lines: &BTreeMap<String, Vec<(f64, f64)>>) -> String {
    let points = || lines.values().flatten();
    let x = Scale::new(&plot.x, points().map(|point| point.0));
    let y = Scale::new(&plot.y, points().map(|point| point.1));
    let at_x = |value| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
    let at_y = |value| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
        font-size=\"12\" fill=\"#333\">\n<title>{title}</title>\n\
        <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
        <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>\n",
        title = plot.title,
    );
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for tick in x.ticks() {
        let (at, text) = (at_x(tick), label(tick));
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>\
            <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            bottom + 18.0
        );
    }
    for tick in y.ticks() {
        let (at, text) = (at_y(tick), label(tick));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>\
            <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
        <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        f64::midpoint(LEFT, right),
        HEIGHT - 12.0,
        plot.x.label,
        f64::midpoint(TOP, bottom),
        plot.y.label
    );
    for (place, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()];
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{:.1} {:.1}", at_x(*x), at_y(*y))).collect();
        let _ = writeln!(svg, "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join("L"));
        for (x, y) in points {
            let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", at_x(*x), at_y(*y));
        }
        let at = TOP + 10.0 + 20.0 * place as f64;
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            right + 14.0,
            at - 4.0,
            right + 24.0,
            at
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_round() {
        let axis = |is_logarithmic| Axis { label: "", is_logarithmic };
        let (linear, logarithmic) = (axis(false), axis(true));
        let scale = Scale::new(&linear, [3.0, 17.0].into_iter());
        assert_eq!((scale.least, scale.most, scale.place(10.0)), (0.0, 20.0, 0.5));
        let scale = Scale::new(&logarithmic, [2.0, 700.0].into_iter());
        assert_eq!(scale.ticks(), [1.0, 10.0, 100.0, 1000.0]);
        assert!((scale.place(100.0) - 2.0 / 3.0).abs() < 1e-9);
    }
}
