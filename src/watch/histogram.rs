//! Percentiles of durations in fixed memory.

use std::time::Duration;

/// Buckets of each doubling; a percentile is right to one part in this.
const STEPS: u64 = 16;

/// Enough for durations to 2^36 microseconds, 19 hours.
const BUCKETS: usize = 33 * STEPS as usize;

/// Counts durations in buckets of a sixteenth of an octave, from a microsecond to 19 hours.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: [u32; BUCKETS],
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], max: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&mut self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let count = &mut self.counts[bucket(microseconds)];
        *count = count.saturating_add(1);
        self.max = self.max.max(duration);
    }

    /// The duration that `share`, 0 to 1, of all do not exceed, at most a sixteenth too long; `None` if there are none.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let rank = (all as f64 * share).ceil().max(1.0) as u64;
        let mut below = 0;
        let reached = self.counts.iter().position(|count| {
            below += u64::from(*count);
            below >= rank
        });
        reached.map(|bucket| Duration::from_micros(last_of(bucket)).min(self.max))
    }

    /// The longest; `None` if there are none.
    pub fn max(&self) -> Option<Duration> {
        self.percentile(1.0).map(|_| self.max)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.max = Duration::ZERO;
    }
}

/// Values below [`STEPS`] have a bucket each; above, each doubling has that many.
fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let octave = u64::from(value.ilog2() - STEPS.ilog2());
    let step = (value >> octave) - STEPS;
    (((octave + 1) * STEPS + step) as usize).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn last_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    match bucket / STEPS {
        0 => bucket,
        octave => ((STEPS + bucket % STEPS + 1) << (octave - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_ends_where_the_next_begins() {
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(last_of(index)), index);
            assert_eq!(bucket(last_of(index) + 1), index + 1);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_right_to_a_sixteenth() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|k| histogram.add(Duration::from_micros(k * 100)));
        for (share, exact) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.001, 100.0)] {
            let found = histogram.percentile(share).unwrap().as_micros() as f64;
            assert!((exact..=exact * 1.0625).contains(&found), "{share}: {found}");
        }
        assert_eq!(histogram.max(), Some(Duration::from_millis(100)));
        assert_eq!(histogram.percentile(1.0), Some(Duration::from_millis(100)));
    }

    #[test]
    fn an_empty_histogram_has_no_percentiles() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.percentile(0.5), histogram.max()), (None, None));
        histogram.add(Duration::from_secs(1 << 40));
        assert!(histogram.max().is_some());
        histogram.clear();
        assert_eq!((histogram.percentile(0.5), histogram.max()), (None, None));
    }
}
