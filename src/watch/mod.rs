//! Saying less, better: which frames of a stream are worth a caption, and which captions worth telling.
//!
//! ```text
//! frame -> gate -> [Captioner] -> hysteresis -> told, or not
//! ```
//!
//! [`Watcher`] makes the two decisions and holds all that they remember; whoever runs the loop asks it before and after
//! the network, and does all input and output. Time comes in as an argument. Memory is fixed, nothing is allocated for a
//! frame.
//!
//! Beside it stands what a program that runs for months needs: [`Health`] and [`Board`] for a line a minute, [`Notifier`]
//! for systemd, [`FrameLog`] for the pictures behind the captions.

mod board;
mod frame_log;
mod gate;
mod health;
mod histogram;
mod hysteresis;
mod notify;

use std::time::{Duration, Instant};

use crate::caption::Caption;
use crate::frame::Frame;

pub use board::Board;
pub use frame_log::{FrameLog, Keep};
pub use gate::{Change, Gate};
pub use health::{Counts, Health, HealthLine, Latencies};
pub use histogram::Histogram;
pub use hysteresis::Agreement;
pub use notify::{Notifier, watchdog_period};

use hysteresis::{Hysteresis, Weight};

/// Frames for which a scene is tried again after its sentence was held back as unsure.
const UNSURE_TRIES: u32 = 8;

/// When a caption is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Share of the picture, 0 to 1, that must change before the network looks; 0 looks at every frame that is not the
    /// same in every cell.
    pub change: f32,
    /// Share of the picture, 0 to 1, from which a change is another scene altogether.
    pub cut: f32,
    /// Levels of 255 by which a cell of the picture may be off, in brightness or colour, before it has changed.
    pub noise: f32,
    /// Which sentences have held, and which are new.
    pub agreement: Agreement,
    /// A caption is told at least this often, whatever happens.
    pub heartbeat: Option<Duration>,
    /// Confidence below which a caption is unsure.
    pub min_confidence: f32,
    /// Whether an unsure caption is held back instead of marked.
    pub skips_unsure: bool,
}

impl Default for Settings {
    /// As measured by `scripts/measure_gate.py` on photos with noise, shaking and exposure added.
    fn default() -> Self {
        Self {
            change: 0.05,
            cut: 0.2,
            noise: 12.0,
            agreement: Agreement::default(),
            heartbeat: None,
            min_confidence: 0.0,
            skips_unsure: false,
        }
    }
}

/// What becomes of a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its sentence has not held yet.
    Wait,
    /// It says nothing new.
    Same,
    /// It is new, but held back as unsure.
    Unsure,
    /// It is to be told.
    Tell {
        /// Whether it is to be marked as unsure.
        is_unsure: bool,
    },
}

/// Decides which frames the network sees and which captions are told.
///
/// ```
/// use std::time::Instant;
/// use scenescribe::{Captioner, Options, TestPattern};
/// use scenescribe::watch::{Settings, Verdict, Watcher};
///
/// let mut captioner = Captioner::embedded(&Options::default())?;
/// let mut watcher = Watcher::new(Settings::default());
/// let picture = TestPattern::new(320, 240);
/// let mut told = 0;
/// for _ in 0..5 {
///     let (frame, now) = (picture.frame(), Instant::now());
///     if watcher.wants(&frame, now) {
///         let caption = captioner.caption(&frame)?;
///         told += u32::from(matches!(watcher.weigh(caption, now), Verdict::Tell { .. }));
///     }
/// }
/// assert_eq!(told, 1);
/// # Ok::<(), scenescribe::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Watcher {
    settings: Settings,
    gate: Gate,
    hysteresis: Hysteresis,
    change: Change,
    last_told: Option<Instant>,
    unsure_tries: u32,
}

impl Watcher {
    /// A watcher that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            gate: Gate::new(settings.noise),
            hysteresis: Hysteresis::new(settings.agreement.clone()),
            change: Change { from_settled: 1.0, from_last: 1.0 },
            last_told: None,
            unsure_tries: 0,
            settings,
        }
    }

    /// Whether the network is to caption this frame: the scene has changed, or the heartbeat is due. `now` must not go
    /// back from call to call.
    pub fn wants(&mut self, frame: &Frame, now: Instant) -> bool {
        self.change = self.gate.look(frame);
        if self.change.from_settled > self.settings.change {
            return true;
        }
        self.hysteresis.drop_candidate();
        self.unsure_tries = 0;
        self.is_heartbeat(now)
    }

    /// What becomes of the caption of the frame that [`wants`](Self::wants) has just let through.
    pub fn weigh(&mut self, caption: &Caption, now: Instant) -> Verdict {
        let is_still = self.change.from_last <= self.settings.change;
        let is_cut = self.change.from_settled >= self.settings.cut;
        let is_heartbeat = self.is_heartbeat(now);
        match self.hysteresis.weigh(caption, is_still, is_cut) {
            _ if is_heartbeat => self.tell(caption, now, true),
            Weight::New => self.tell(caption, now, false),
            Weight::Wait => Verdict::Wait,
            Weight::Same => {
                self.gate.settle();
                self.hysteresis.drop_candidate();
                Verdict::Same
            }
        }
    }

    /// How much the last frame has changed.
    pub fn change(&self) -> Change {
        self.change
    }

    /// At the end of a stream: the caption that had not held yet, which nothing will contradict any more, and what
    /// becomes of it.
    pub fn finish(&self) -> Option<(&Caption, Verdict)> {
        let Settings { cut, min_confidence, skips_unsure, .. } = self.settings;
        let caption = self.hysteresis.candidate(self.change.from_settled >= cut)?;
        let is_unsure = caption.confidence < min_confidence;
        Some((caption, if is_unsure && skips_unsure { Verdict::Unsure } else { Verdict::Tell { is_unsure } }))
    }

    fn is_heartbeat(&self, now: Instant) -> bool {
        let due = |interval| self.last_told.is_some_and(|told| now.saturating_duration_since(told) >= interval);
        self.settings.heartbeat.is_some_and(due)
    }

    fn tell(&mut self, caption: &Caption, now: Instant, is_heartbeat: bool) -> Verdict {
        let is_unsure = caption.confidence < self.settings.min_confidence;
        if is_unsure && self.settings.skips_unsure {
            return self.hold_back(now, is_heartbeat);
        }
        self.gate.settle();
        self.hysteresis.tell(caption);
        self.last_told = Some(now);
        self.unsure_tries = 0;
        Verdict::Tell { is_unsure }
    }

    /// The next frames may be clearer; after a few the scene is left until it changes, or the network would never rest.
    fn hold_back(&mut self, now: Instant, is_heartbeat: bool) -> Verdict {
        self.unsure_tries += 1;
        if is_heartbeat {
            self.last_told = Some(now);
        }
        if self.unsure_tries >= UNSURE_TRIES {
            self.gate.settle();
            self.hysteresis.drop_candidate();
            self.unsure_tries = 0;
        }
        Verdict::Unsure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caption::Token;
    use crate::source::TestPattern;

    const FRAME_TIME: Duration = Duration::from_millis(100);

    /// A stream of pictures, each with what the network would say of it; counts what reaches the network.
    struct Run {
        watcher: Watcher,
        now: Instant,
        captioned: u32,
    }

    impl Run {
        fn new(settings: Settings) -> Self {
            Self { watcher: Watcher::new(settings), now: Instant::now(), captioned: 0 }
        }

        /// What becomes of one frame; `None` if the gate stops it.
        fn frame(&mut self, scene: u32, tokens: &[Token], confidence: f32) -> Option<Verdict> {
            self.now += FRAME_TIME;
            let picture = scene_picture(scene);
            let frame = Frame::new(64, 48, &picture).unwrap();
            if !self.watcher.wants(&frame, self.now) {
                return None;
            }
            self.captioned += 1;
            let caption = Caption { tokens: tokens.iter().copied().collect(), confidence, ..Caption::default() };
            Some(self.watcher.weigh(&caption, self.now))
        }
    }

    /// Stripes of another width for each scene.
    fn scene_picture(scene: u32) -> Vec<u8> {
        let pixel = |place: u32| if (place % 64 / (4 + 3 * scene)).is_multiple_of(2) { [200; 3] } else { [40; 3] };
        (0..64 * 48).flat_map(pixel).collect()
    }

    const TOLD: Option<Verdict> = Some(Verdict::Tell { is_unsure: false });

    #[test]
    fn a_new_scene_is_told_on_its_second_frame_and_then_rests() {
        let mut run = Run::new(Settings::default());
        for (scene, tokens) in [(0, [1, 2]), (1, [3, 4]), (0, [1, 2])] {
            assert_eq!(run.frame(scene, &tokens, 0.5), Some(Verdict::Wait), "scene {scene}");
            assert_eq!(run.frame(scene, &tokens, 0.5), TOLD, "scene {scene}");
            (0..10).for_each(|_| assert_eq!(run.frame(scene, &tokens, 0.5), None, "scene {scene}"));
        }
        assert_eq!(run.captioned, 6);
    }

    #[test]
    fn what_passes_by_in_one_frame_is_not_told() {
        let mut run = Run::new(Settings::default());
        run.frame(0, &[1, 2], 0.5);
        assert_eq!(run.frame(0, &[1, 2], 0.5), TOLD);
        assert_eq!(run.frame(1, &[3, 4], 0.5), Some(Verdict::Wait));
        (0..3).for_each(|_| assert_eq!(run.frame(0, &[1, 2], 0.5), None));
        assert_eq!(run.frame(1, &[3, 4], 0.5), Some(Verdict::Wait), "it must hold anew");
    }

    #[test]
    fn another_scene_with_the_same_words_is_no_news() {
        let mut run = Run::new(Settings::default());
        run.frame(0, &[1, 2], 0.5);
        assert_eq!(run.frame(0, &[1, 2], 0.5), TOLD);
        run.frame(1, &[1, 2], 0.5);
        assert_eq!(run.frame(1, &[1, 2], 0.5), Some(Verdict::Same));
        assert_eq!(run.frame(1, &[1, 2], 0.5), None);
    }

    #[test]
    fn the_heartbeat_tells_again_and_survives_a_clock_that_goes_back() {
        let mut run = Run::new(Settings { heartbeat: Some(5 * FRAME_TIME), ..Settings::default() });
        run.frame(0, &[1, 2], 0.5);
        assert_eq!(run.frame(0, &[1, 2], 0.5), TOLD);
        for _ in 0..3 {
            (0..4).for_each(|_| assert_eq!(run.frame(0, &[1, 2], 0.5), None));
            assert_eq!(run.frame(0, &[1, 2], 0.5), TOLD);
        }
        run.now -= 3 * FRAME_TIME;
        assert_eq!(run.frame(0, &[1, 2], 0.5), None);
    }

    #[test]
    fn an_unsure_caption_is_marked_or_held_back() {
        let unsure = |skips_unsure| Settings { min_confidence: 0.3, skips_unsure, ..Settings::default() };
        let mut run = Run::new(unsure(false));
        run.frame(0, &[1, 2], 0.2);
        assert_eq!(run.frame(0, &[1, 2], 0.2), Some(Verdict::Tell { is_unsure: true }));
        let mut run = Run::new(unsure(true));
        run.frame(0, &[1, 2], 0.2);
        assert_eq!(run.frame(0, &[1, 2], 0.2), Some(Verdict::Unsure));
        assert_eq!(run.frame(0, &[1, 2], 0.4), TOLD, "a clearer frame of the same scene");
    }

    #[test]
    fn a_scene_that_stays_unsure_is_left_until_it_changes() {
        let mut run = Run::new(Settings { min_confidence: 0.3, skips_unsure: true, ..Settings::default() });
        (0..100).for_each(|_| assert!(!matches!(run.frame(0, &[1, 2], 0.2), Some(Verdict::Tell { .. }))));
        assert_eq!(run.captioned, 1 + UNSURE_TRIES);
        run.frame(1, &[1, 2], 0.5);
        assert_eq!(run.frame(1, &[1, 2], 0.5), TOLD, "words that were held back are news");
    }

    #[test]
    fn the_end_of_the_stream_tells_what_had_not_held_yet() {
        let mut run = Run::new(Settings::default());
        assert_eq!(run.watcher.finish(), None);
        run.frame(0, &[1, 2], 0.5);
        assert_eq!(run.watcher.finish().unwrap().1, Verdict::Tell { is_unsure: false });
        run.frame(0, &[1, 2], 0.5);
        assert_eq!(run.watcher.finish(), None, "it was told");
        run.frame(1, &[1, 2], 0.5);
        assert_eq!(run.watcher.finish(), None, "the words were told before");
    }

    #[test]
    fn no_change_asked_for_shows_the_network_every_frame_that_moves() {
        let mut run = Run::new(Settings { change: 0.0, ..Settings::default() });
        let pattern = TestPattern::new(64, 48);
        run.frame(0, &[1], 0.5);
        assert!(run.watcher.wants(&pattern.frame(), run.now));
    }
}
