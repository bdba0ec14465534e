//! How far a long run is: a bar on a terminal, a line a minute in a log, or nothing.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use scenescribe::annotate::{Photos, Record, Tally};

/// Time between two lines of [`Style::Plain`].
const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// A bar with rate, time left and the last caption
    Bar,
    /// A line a minute, and a last one
    Plain,
    /// Errors alone
    None,
}

pub struct Progress {
    style: Style,
    bar: ProgressBar,
    start: Instant,
    last_line: Instant,
}

impl Progress {
    /// Starts to count what is to be done, where that can be known beforehand.
    pub fn start(style: Option<Style>, paths: &[PathBuf], has_list: bool) -> Self {
        let by_default = if io::stderr().is_terminal() { Style::Bar } else { Style::None };
        let style = style.unwrap_or(by_default);
        let bar = if style == Style::Bar { bar() } else { ProgressBar::hidden() };
        if style != Style::None && !has_list {
            let (bar, photos) = (bar.clone(), Photos::new(paths.to_vec()));
            bar.unset_length();
            thread::spawn(move || bar.set_length(photos.count() as u64));
        } else {
            bar.unset_length();
        }
        Self { style, bar, start: Instant::now(), last_line: Instant::now() }
    }

    /// Tells of one photo.
    pub fn show(&mut self, tally: &Tally, record: &Record) {
        if let Some(error) = &record.error {
            self.bar.suspend(|| log::error!("{error}"));
        }
        match self.style {
            Style::Bar => {
                self.bar.set_position(tally.total());
                self.bar.set_message(record.caption.clone().unwrap_or_default());
            }
            Style::Plain if self.last_line.elapsed() >= INTERVAL => {
                self.last_line = Instant::now();
                eprintln!("{}: {}", self.line(tally), record.caption.as_deref().unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Tells how it ended.
    pub fn finish(self, tally: &Tally) {
        self.bar.finish_and_clear();
        let is_told = self.style != Style::None || tally.failed > 0;
        if is_told {
            eprintln!("{}", self.line(tally));
        }
    }

    fn line(&self, tally: &Tally) -> String {
        let Tally { captioned, similar, failed, passed, .. } = tally;
        let seconds = self.start.elapsed().as_secs_f64();
        let rate = (tally.total() - passed) as f64 / seconds.max(1e-3);
        let left = match self.bar.length().and_then(|total| total.checked_sub(tally.total())) {
            Some(left) if left > 0 && rate > 0.0 => {
                format!(", {} left", HumanDuration(Duration::from_secs_f64((left as f64 / rate).min(1e9))))
            }
            _ => String::new(),
        };
        format!(
            "{captioned} captioned, {similar} like another, {passed} done before, {failed} failed; {rate:.1} a second{left}"
        )
    }
}

fn bar() -> ProgressBar {
    let template = "{bar:20} {pos}/{len} {per_sec} {eta} left  {wide_msg}";
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    let bar = ProgressBar::no_length().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
