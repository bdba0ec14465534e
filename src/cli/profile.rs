//! Where the time of the graphs goes, operator by operator.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use scenescribe::{Frame, Model, OperatorTime, Result};

use super::bench::pixels;

/// A table of the encoder's operators and one of a decoder step's, means over `frames` runs.
pub fn table(model: &mut Model, frame: &Frame, frames: u32) -> Result<String> {
    let pixels = pixels(model, frame);
    let (mut encoder, mut step) = (Shares::default(), Shares::default());
    for _ in 0..frames {
        encoder.add(&model.encoder.run_timed(&pixels)?);
        let features = model.encoder.run(&pixels)?;
        step.add(&model.decoder.run_timed(features)?);
    }
    Ok(format!("{}{}", encoder.table("encoder", frames), step.table("decoder step", frames)))
}

/// Time and number of runs of each kind of operator.
#[derive(Default)]
struct Shares(BTreeMap<(String, String), (Duration, u32)>);

impl Shares {
    fn add(&mut self, times: &[OperatorTime]) {
        for OperatorTime { operator, arithmetic, time, .. } in times {
            let (sum, count) = self.0.entry((operator.clone(), arithmetic.clone())).or_default();
            *sum += *time;
            *count += 1;
        }
    }

    fn table(&self, title: &str, frames: u32) -> String {
        let total: Duration = self.0.values().map(|(time, _)| *time).sum();
        let mut kinds: Vec<_> = self.0.iter().collect();
        kinds.sort_by_key(|(_, (time, _))| std::cmp::Reverse(*time));
        let title = format!("{title}, ms");
        let mut table = format!("\n{title:<22}{:<18}{:>6}{:>10}{:>9}\n", "arithmetic", "count", "time", "share");
        for ((operator, arithmetic), (time, count)) in kinds {
            let time_ms = 1e3 * time.as_secs_f64() / f64::from(frames);
            let share = 100.0 * time.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE);
            let _ = writeln!(table, "{operator:<22}{arithmetic:<18}{:>6}{time_ms:>10.4}{share:>8.1}%", count / frames);
        }
        table
    }
}
