//! Our stages allocate nothing for a frame once they are warm.
//!
//! tract allocates inside a graph, so the stages around the graphs are counted one by one, and the whole pipeline against
//! the graphs alone.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use embedded_io_adapters::std::FromStd;
use scenescribe::sink::{self, Sinks, WhenFull};
use scenescribe::watch::{Health, Notifier, Settings, Verdict, Watcher};
use scenescribe::{Captioner, Frame, Hypothesis, Model, Options, Report, TestPattern, Text};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread during `call`.
fn allocations(call: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    call();
    ALLOCATIONS.get() - before
}

fn tiny(beam: usize) -> Model {
    let options = Options { beam: Some(beam), ..Options::default() };
    Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tiny"), &options).unwrap()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(vec![0u8; 100]))), 1);
}

#[test]
fn preprocessing_allocates_nothing() {
    let model = tiny(1);
    let mut buffers = model.preprocessor.buffers();
    let (mut resized, mut pixels) =
        (vec![0; model.preprocessor.output_len()], vec![0.0; model.preprocessor.output_len()]);
    for (width, height) in [(320, 240), (33, 1000), (7, 5)] {
        let picture = TestPattern::new(width, height);
        let count = allocations(|| {
            model.preprocessor.run(&picture.frame(), &mut buffers, &mut pixels);
            model.preprocessor.resize(&picture.frame(), &mut buffers, &mut resized);
            model.preprocessor.normalise(&resized, &mut pixels);
        });
        assert_eq!(count, 0, "{width} x {height}");
    }
}

#[test]
fn text_allocates_nothing() {
    let model = tiny(1);
    let mut text = Text::new();
    let tokens: Vec<_> = (0..model.vocabulary.len() as u32).take(60).collect();
    let count = allocations(|| {
        black_box(model.vocabulary.write_text(&tokens, false, &mut text));
    });
    assert_eq!(count, 0);
}

#[test]
fn sinks_allocate_nothing() {
    let mut captioner = Captioner::new(tiny(2));
    let picture = TestPattern::new(64, 64);
    let caption = captioner.caption(&picture.frame()).unwrap();
    let mut line = [0u8; 4096];
    assert_eq!(allocations(|| sink::write_text(&mut &mut line[..], Some(&"a.jpg"), caption).unwrap()), 0);
    assert_eq!(allocations(|| sink::write_json(&mut &mut line[..], "a.jpg", caption).unwrap()), 0);
}

/// Notes how often its thread has allocated whenever it is written to.
#[derive(Clone, Default)]
struct Meter(Arc<Mutex<heapless::Vec<usize, 64>>>);

impl std::io::Write for Meter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().push(ALLOCATIONS.get()).expect("the test writes less often");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn sinks_of_a_run_allocate_nothing_for_a_report() {
    use sink::Framing::{Ascii, Cobs, Json, Line};
    let mut captioner = Captioner::new(tiny(2));
    let caption = captioner.caption(&TestPattern::new(64, 64).frame()).unwrap().clone();
    let report = Report { sequence: 7, time: SystemTime::now(), caption, is_unsure: true };
    let meters: [Meter; 4] = Default::default();
    let mut sinks = Sinks::new("camera");
    for (meter, framing) in meters.iter().zip([Line, Ascii, Json, Cobs]) {
        let patient = WhenFull::WaitUnless(Arc::default());
        sinks.add("meter", FromStd::new(meter.clone()), framing, patient).unwrap();
    }
    let monitor = sinks.monitor();
    assert_eq!(allocations(|| (0..40).for_each(|_| sinks.send(&report).unwrap())), 0);
    assert_eq!(allocations(|| assert_eq!(monitor.dropped(), 0)), 0);
    sinks.finish(Duration::from_secs(60)).unwrap();
    for meter in meters {
        let counts = meter.0.lock().unwrap();
        assert!(counts.len() == 40 && counts.first() == counts.last(), "{counts:?}");
    }
}

#[test]
fn watching_allocates_nothing() {
    let mut captioner = Captioner::new(tiny(1));
    let pictures = [TestPattern::new(320, 240), TestPattern::new(240, 320)];
    let dark = vec![9; 640 * 480 * 3];
    let frames = [pictures[0].frame(), pictures[1].frame(), Frame::new(640, 480, &dark).unwrap()];
    let captions = frames.map(|frame| captioner.caption(&frame).unwrap().clone());
    let heartbeat = Some(Duration::from_millis(700));
    let mut watcher = Watcher::new(Settings { heartbeat, ..Settings::default() });
    let mut health = Health::default();
    let mut notifier = Notifier::from_environment().unwrap();
    let start = Instant::now();
    let (mut told, mut gated) = (0, 0);
    let count = allocations(|| {
        for k in 0..90 {
            let now = start + Duration::from_millis(100) * k;
            let scene = k as usize / 30;
            notifier.frame(now).unwrap();
            if watcher.wants(&frames[scene], now) {
                told += u32::from(matches!(watcher.weigh(&captions[scene], now), Verdict::Tell { .. }));
                health.add_caption(captions[scene].latency.total());
            } else {
                gated += 1;
            }
        }
    });
    assert_eq!(count, 0);
    assert!(told > 9 && gated > 50, "{told} told, {gated} gated");
}

#[test]
fn a_frame_allocates_no_more_than_its_graphs_do() {
    for beam in [1, 3] {
        let picture = TestPattern::new(100, 80);
        let mut stages = tiny(beam);
        let mut pixels = vec![0.0; stages.preprocessor.output_len()];
        stages.preprocessor.run(&picture.frame(), &mut stages.preprocessor.buffers(), &mut pixels);
        let mut best = Hypothesis::default();
        let mut graphs = 0;
        for _ in 0..3 {
            graphs = allocations(|| {
                let features = stages.encoder.run(&pixels).unwrap();
                stages.decoder.run(features, &mut best).unwrap();
            });
        }
        let mut captioner = Captioner::new(tiny(beam));
        for frame in 0..5 {
            let count = allocations(|| {
                black_box(captioner.caption(&picture.frame()).unwrap());
            });
            assert!(
                frame < 2 || count == graphs,
                "frame {frame}, beam {beam}: {count} allocations, {graphs} in the graphs"
            );
        }
    }
}

#[test]
fn a_source_allocates_nothing_for_a_frame() {
    use scenescribe::source::*;
    let stop = Stop::default();
    let layout = RawLayout::new(PixelFormat::Nv12, 64, 48).unwrap();
    let bytes = vec![90; layout.frame_len() * 6];
    let stream = RawStream::new(&bytes[..], "a stream".as_ref(), layout, &stop, Counters::default());
    let slow = Every::new(Paced::new(stream, 1000.0, &stop), 1);
    let crop = Some(Crop { x: 1, y: 2, width: 30, height: 20 });
    let transform = Transform { crop, rotation: Rotation::By90, flips: true };
    let mut source = Transformed::new(Decoded::new(slow, ColorSpec::default(), Counters::default()), transform);
    for frame in 0..6 {
        let count = allocations(|| assert!(source.next_frame().unwrap().is_some()));
        assert!(frame < 1 || count == 0, "frame {frame}: {count} allocations");
    }
}
