//! Plots as plain data: shapes in pixels, which the template draws.

/// Colours that people with colour-blindness can tell apart (Okabe and Ito, 2008).
const COLOURS: [&str; 8] = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#8A8A00"];

pub(super) const WIDTH: f64 = 460.0;
pub(super) const HEIGHT: f64 = 300.0;
pub(super) const MARGIN: f64 = 46.0;

/// The colour of the series with this number.
pub(super) fn colour(series: usize) -> &'static str {
    COLOURS[series % COLOURS.len()]
}

/// A plot with linear axes.
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) ticks: Vec<Text>,
    pub(super) labels: Vec<Text>,
    pub(super) lines: Vec<Line>,
    pub(super) bars: Vec<Bar>,
    pub(super) legend: Vec<(&'static str, String)>,
    x: [f64; 2],
    y: [f64; 2],
}

/// A text at a place in pixels.
pub(super) struct Text {
    pub(super) at: f64,
    pub(super) text: String,
}

/// A line through points in pixels, each marked.
pub(super) struct Line {
    pub(super) points: Vec<[f64; 2]>,
    pub(super) colour: &'static str,
}

/// A box in pixels.
pub(super) struct Bar {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) colour: &'static str,
}

impl Plot {
    /// An empty plot of these ranges of values.
    pub(super) fn new(title: impl Into<String>, x: [f64; 2], y: [f64; 2]) -> Self {
        let pad = |[low, high]: [f64; 2]| {
            let room = if high > low { (high - low) * 0.06 } else { 0.05 };
            [low - room, high + room]
        };
        let (x, y) = (pad(x), pad(y));
        let mut plot = Self {
            title: title.into(),
            ticks: vec![],
            labels: vec![],
            lines: vec![],
            bars: vec![],
            legend: vec![],
            x,
            y,
        };
        plot.ticks = (0..5).map(|tick| plot.tick(y[0] + (y[1] - y[0]) * f64::from(tick) / 4.0)).collect();
        plot
    }

    fn tick(&self, value: f64) -> Text {
        Text { at: self.py(value), text: format!("{value:.3}") }
    }

    fn px(&self, x: f64) -> f64 {
        MARGIN + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - 10.0 - MARGIN)
    }

    fn py(&self, y: f64) -> f64 {
        HEIGHT - MARGIN - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - MARGIN - 22.0)
    }

    /// A text below the x axis.
    pub(super) fn x_label(&mut self, x: f64, text: impl Into<String>) {
        self.labels.push(Text { at: self.px(x), text: text.into() });
    }

    /// A line through those points that are numbers.
    pub(super) fn line(&mut self, points: &[(f64, f64)], colour: &'static str) {
        let known = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let points = known.map(|(x, y)| [self.px(*x), self.py(*y)]).collect();
        self.lines.push(Line { points, colour });
    }

    /// A box between two values of each axis; none where one is not a number.
    pub(super) fn bar(&mut self, x: [f64; 2], y: [f64; 2], colour: &'static str) {
        if x.iter().chain(&y).all(|v| v.is_finite()) {
            let (left, top) = (self.px(x[0]), self.py(y[1]));
            self.bars.push(Bar { left, top, width: self.px(x[1]) - left, height: self.py(y[0]) - top, colour });
        }
    }

    /// The plot with a name for each series.
    pub(super) fn with_legend(mut self, names: &[String]) -> Self {
        self.legend = names.iter().enumerate().map(|(at, name)| (colour(at), name.clone())).collect();
        self
    }
}
