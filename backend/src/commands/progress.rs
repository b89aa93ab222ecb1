//! How far a command is: a bar on a terminal, a plain line every tenth elsewhere.

use std::io::IsTerminal;
use std::ops::ControlFlow;

use indicatif::{ProgressBar, ProgressStyle};

/// Shows shares of work done.
pub(crate) struct Meter {
    bar: Option<ProgressBar>,
    what: &'static str,
    tenths: u32,
}

impl Meter {
    /// A meter for `what` is done, such as "presegmenting".
    pub(crate) fn new(what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg} {bar:40} {percent:>3} %  {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(1000).with_style(style).with_message(what)
        });
        Self { bar, what, tenths: 0 }
    }

    /// Shows the share that is done.
    pub(crate) fn show(&mut self, done: f32) -> ControlFlow<()> {
        let tenths = (done * 10.0) as u32;
        match &self.bar {
            Some(bar) => bar.set_position((done * 1000.0) as u64),
            None if tenths > self.tenths => eprintln!("{} {} %", self.what, tenths * 10),
            None => {}
        }
        self.tenths = self.tenths.max(tenths);
        if done >= 1.0
            && let Some(bar) = &self.bar
        {
            bar.finish_and_clear();
        }
        ControlFlow::Continue(())
    }
}
