//! How a long run does: counts since the start, latencies since the line before, and the line that says so.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{Board, Histogram};

/// What the loop counts, from the start on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Frames that came from the source.
    pub frames: u64,
    /// Frames that the gate kept from the network.
    pub gated: u64,
    /// Frames that the network captioned.
    pub captioned: u64,
    /// Captions told to the sinks.
    pub told: u64,
    /// Captions held back as unsure.
    pub unsure: u64,
    /// Frames on which a graph failed.
    pub failed: u64,
    /// Frames that the source threw away, because newer ones had come.
    pub dropped_frames: u64,
    /// Captions that the sinks threw away, each sink counted.
    pub dropped_captions: u64,
    /// Times that the source came back after a loss.
    pub recoveries: u64,
    /// Pictures that could not be kept.
    pub lost_pictures: u64,
}

/// How the run does, in fixed memory.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Counts run from the start.
    pub counts: Counts,
    latencies: Histogram,
}

/// Frame to sentence, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latencies {
    /// Half take no longer.
    pub p50: f64,
    /// 99 of 100 take no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// One health line: [`Display`](fmt::Display) is for people, [`Serialize`] for programs. What the board does not tell is
/// left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthLine {
    /// Whole seconds since the start.
    pub uptime_s: u64,
    /// Counts run from the start.
    #[serde(flatten)]
    pub counts: Counts,
    /// Since the line before; none if nothing was captioned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Latencies>,
    /// Resident memory in MB (10^6 bytes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_mb: Option<f64>,
    /// Temperature of the chip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub celsius: Option<f32>,
    /// As [`Board::throttled`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<u32>,
}

impl Health {
    /// Counts a frame that was captioned.
    pub fn add_caption(&mut self, latency: Duration) {
        self.counts.captioned += 1;
        self.latencies.add(latency);
    }

    /// The line for this moment; latencies start anew.
    pub fn line(&mut self, uptime: Duration, board: &Board) -> HealthLine {
        let latency_ms = self.latencies();
        self.latencies.clear();
        HealthLine {
            uptime_s: uptime.as_secs(),
            counts: self.counts,
            latency_ms,
            resident_mb: board.resident_bytes().map(|bytes| bytes as f64 / 1e6),
            celsius: board.celsius(),
            throttled: board.throttled(),
        }
    }

    fn latencies(&self) -> Option<Latencies> {
        let milliseconds = |duration: Duration| duration.as_micros() as f64 / 1e3;
        let percentile = |share| self.latencies.percentile(share).map(milliseconds);
        let max = milliseconds(self.latencies.max()?);
        Some(Latencies { p50: percentile(0.5)?, p99: percentile(0.99)?, max })
    }
}

/// Firmware bits as words.
const THROTTLING: [(u32, &str); 4] =
    [(1 << 0, "under-voltage"), (1 << 1, "frequency capped"), (1 << 2, "throttled"), (1 << 3, "too warm")];

impl fmt::Display for HealthLine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Counts { frames, gated, captioned, told, .. } = self.counts;
        write!(f, "up {}, {frames} frames, {gated} gated, {captioned} captioned, {told} told", Uptime(self.uptime_s))?;
        for (count, what) in [
            (self.counts.unsure, "unsure"),
            (self.counts.failed, "failed"),
            (self.counts.dropped_frames, "frames dropped"),
            (self.counts.dropped_captions, "captions dropped"),
            (self.counts.recoveries, "recoveries"),
            (self.counts.lost_pictures, "pictures lost"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        if let Some(Latencies { p50, p99, max }) = self.latency_ms {
            write!(f, "; ms p50 {p50:.1}, p99 {p99:.1}, max {max:.1}")?;
        }
        if let Some(megabytes) = self.resident_mb {
            write!(f, "; {megabytes:.1} MB")?;
        }
        if let Some(celsius) = self.celsius {
            write!(f, "; {celsius:.1} C")?;
        }
        self.throttled.map_or(Ok(()), |bits| write_throttling(f, bits))
    }
}

/// What is, and else what has been.
fn write_throttling(f: &mut fmt::Formatter, bits: u32) -> fmt::Result {
    for (bit, what) in THROTTLING {
        if bits & bit != 0 {
            write!(f, ", {what}")?;
        } else if bits & bit << 16 != 0 {
            write!(f, ", was {what}")?;
        }
    }
    Ok(())
}

struct Uptime(u64);

impl fmt::Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (days, hours, minutes, seconds) = (self.0 / 86_400, self.0 / 3_600 % 24, self.0 / 60 % 60, self.0 % 60);
        if days > 0 {
            write!(f, "{days} d ")?;
        }
        write!(f, "{hours}:{minutes:02}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn line() -> HealthLine {
        let counts = Counts { frames: 1800, gated: 1700, captioned: 98, told: 4, ..Counts::default() };
        let mut health = Health { counts, ..Health::default() };
        (0..2).for_each(|_| health.add_caption(Duration::from_micros(31_000)));
        let nowhere = Board::below(Path::new("/nowhere"));
        let line = health.line(Duration::from_secs(90_061), &nowhere);
        assert_eq!(health.line(Duration::ZERO, &nowhere).latency_ms, None, "latencies start anew");
        line
    }

    #[test]
    fn a_line_says_what_is_known_and_no_more() {
        let mut line = line();
        let counts = "up 1 d 1:01:01, 1800 frames, 1700 gated, 100 captioned, 4 told";
        let latencies = "; ms p50 31.0, p99 31.0, max 31.0";
        assert_eq!(line.to_string(), format!("{counts}{latencies}"));
        line.counts.recoveries = 1;
        (line.resident_mb, line.celsius, line.throttled) = (Some(48.26), Some(61.2), Some(0x50001));
        let board = "; 48.3 MB; 61.2 C, under-voltage, was throttled";
        assert_eq!(line.to_string(), format!("{counts}, 1 recoveries{latencies}{board}"));
    }

    #[test]
    fn the_same_line_for_programs_leaves_out_what_is_not_known() {
        let json = serde_json::to_value(line()).unwrap();
        assert_eq!((&json["frames"], &json["latency_ms"]["p99"]), (&1800.into(), &31.0.into()));
        assert_eq!((json.get("celsius"), json.get("resident_mb")), (None, None));
    }
}
