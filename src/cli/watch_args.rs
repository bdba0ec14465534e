//! The options that say when a caption is told, what is kept of it, and how the run reports on itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use scenescribe::Result;
use scenescribe::limits::MAX_KEPT_PICTURES;
use scenescribe::watch::{Agreement, FrameLog, Keep, Settings};

use super::size::parse_size;

#[derive(Args)]
pub struct WatchArgs {
    /// Tell a caption at least this often, also when nothing changes
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    heartbeat: Option<Duration>,

    /// Confidence, 0 to 1, below which a caption is unsure
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share, hide_default_value = true)]
    min_confidence: f32,

    /// What to do with an unsure caption
    #[arg(long, default_value = "mark", hide_possible_values = true, value_name = "mark|skip")]
    unsure: Unsure,

    /// Keep the picture of each caption told in this folder, as JPEG
    #[arg(long, value_name = "DIR")]
    log_frames: Option<PathBuf>,

    /// Pictures to keep; the oldest goes first
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "log_frames")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MAX_KEPT_PICTURES as u64))]
    keep: u64,

    /// Bytes of all pictures kept, like 64M; the oldest goes first [default: no bound but --keep]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "log_frames")]
    keep_bytes: Option<u64>,

    /// Log how the run does, each minute or as often as said here
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60", value_parser = seconds)]
    pub(super) health: Option<Duration>,

    /// Share of the picture, 0 to 1, that must change before the network looks
    #[arg(long, value_name = "SHARE", default_value_t = Settings::default().change, value_parser = share)]
    change: f32,

    /// Share of the picture, 0 to 1, from which a change is another scene, where one other word is news
    #[arg(long, value_name = "SHARE", default_value_t = Settings::default().cut, value_parser = share)]
    cut: f32,

    /// Levels of 255 by which the colour of a place may be off before it has changed
    #[arg(long, value_name = "LEVELS", default_value_t = Settings::default().noise, value_parser = levels)]
    noise: f32,

    /// Frames in a row for which a new sentence must hold; 1 tells the first, for pictures that have nothing in common
    #[arg(long, value_name = "FRAMES", default_value_t = Agreement::default().hold)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    hold: u32,

    /// Share of common words, 0 to 1, by which the sentence of a moving scene holds
    #[arg(long, value_name = "SHARE", default_value_t = Agreement::default().held_words, value_parser = share)]
    held_words: f32,

    /// Share of common words, 0 to 1, from which a sentence is no news after a change in part of the picture
    #[arg(long, value_name = "SHARE", default_value_t = Agreement::default().same_words, value_parser = share)]
    same_words: f32,
}

/// What becomes of a caption below `--min-confidence`.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Unsure {
    /// It is told and marked.
    Mark,
    /// It is held back.
    Skip,
}

impl WatchArgs {
    /// When captions are told.
    pub fn settings(&self) -> Settings {
        Settings {
            change: self.change,
            cut: self.cut,
            noise: self.noise,
            agreement: Agreement { hold: self.hold, held_words: self.held_words, same_words: self.same_words },
            heartbeat: self.heartbeat,
            min_confidence: self.min_confidence,
            skips_unsure: self.unsure == Unsure::Skip,
        }
    }

    /// Where pictures are kept, if they are.
    pub fn frame_log(&self) -> Result<Option<FrameLog>> {
        let bytes = self.keep_bytes.unwrap_or(u64::MAX);
        let keep = Keep { pictures: self.keep as usize, bytes };
        self.log_frames.as_ref().map(|folder| FrameLog::open(folder, keep)).transpose()
    }
}

fn share(text: &str) -> std::result::Result<f32, &'static str> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or("must be 0 to 1")
}

fn levels(text: &str) -> std::result::Result<f32, &'static str> {
    text.parse().ok().filter(|levels| (0.0..=255.0).contains(levels)).ok_or("must be 0 to 255")
}

fn seconds(text: &str) -> std::result::Result<Duration, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=1e6).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or("must be 0.1 to 1000000")
}
