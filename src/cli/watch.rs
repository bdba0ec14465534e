//! `scenescribe watch`: captions of a camera or a stream, when what it sees changes.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use scenescribe::sink::{SinkMonitor, Sinks};
use scenescribe::source::{FrameSource, Stop};
use scenescribe::watch::{FrameLog, Notifier, Verdict, Watcher};
use scenescribe::{Caption, Captioner, Frame, Report, Result};

use super::model_args::ModelArgs;
use super::sink_args::SinkArgs;
use super::source_args::SourceArgs;
use super::watch_args::WatchArgs;
use super::watch_health::{HealthLog, SharedHealth};
use super::{exit_code, fail};

/// How long the sinks may take over what is left for them at the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Follow a camera or a stream, say what it sees when that changes
///
/// A caption is told when the picture has changed and the new sentence has held for two frames. It ends with the stream, or
/// on SIGINT or SIGTERM: exit code 0.
#[derive(clap::Args)]
#[command(mut_args(shorten))]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    watch: WatchArgs,

    #[command(flatten)]
    sink: SinkArgs,

    #[command(flatten)]
    model: ModelArgs,
}

/// What most need; the rest stands in --help alone, so that -h fits a screen.
const COMMON: [&str; 12] = [
    "input",
    "camera",
    "format",
    "size",
    "heartbeat",
    "min_confidence",
    "log_frames",
    "health",
    "json",
    "serial",
    "model",
    "verbose",
];

fn shorten(argument: clap::Arg) -> clap::Arg {
    let is_common = COMMON.contains(&argument.get_id().as_str());
    argument.hide_short_help(!is_common)
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    args.source.check();
    match follow(args) {
        Ok(printed) => exit_code(printed, ExitCode::SUCCESS),
        Err(error) => fail(&error),
    }
}

/// To the end of the stream; gives what became of the output, or why there are no more frames.
fn follow(args: &Args) -> Result<io::Result<()>> {
    let stop = stop_on_signals();
    let captioner = args.model.captioner()?;
    let frame_log = args.watch.frame_log()?;
    let sinks = args.sink.open(&args.source.name(), args.source.is_live(), &stop)?;
    let mut source = args.source.open(&Stop::from(Arc::clone(&stop)))?;
    let health = SharedHealth::default();
    let health_log = args.watch.health.map(|period| HealthLog::start(period, health.clone(), args.sink.json));
    let mut run = Run {
        captioner,
        watcher: Watcher::new(args.watch.settings()),
        monitor: sinks.monitor(),
        sinks,
        frame_log,
        notifier: Notifier::from_environment().unwrap_or_else(|error| {
            log::warn!("systemd cannot be told: {error}");
            Notifier::default()
        }),
        health,
        frames: 0,
        sequence: 0,
        graphs: Trouble::new("graphs"),
        pictures: Trouble::new("pictures"),
        systemd: Trouble::new("systemd"),
    };
    let ended = run.stream(source.as_mut(), &stop);
    drop(source);
    let printed = run.finish();
    drop(health_log);
    ended.map(|sent| sent.and(printed))
}

/// The flag that SIGINT and SIGTERM set. A second SIGINT ends the program at once, SIGHUP does nothing.
fn stop_on_signals() -> Arc<AtomicBool> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::flag;
    let stop = Arc::new(AtomicBool::new(false));
    let registered = flag::register_conditional_shutdown(SIGINT, 1, Arc::clone(&stop))
        .and_then(|_| flag::register(SIGINT, Arc::clone(&stop)))
        .and_then(|_| flag::register(SIGTERM, Arc::clone(&stop)))
        .and_then(|_| flag::register(SIGHUP, Arc::default()));
    if let Err(error) = registered {
        log::warn!("signals will end the program at once: {error}");
    }
    stop
}

struct Run {
    captioner: Captioner,
    watcher: Watcher,
    sinks: Sinks,
    monitor: SinkMonitor,
    frame_log: Option<FrameLog>,
    notifier: Notifier,
    health: SharedHealth,
    frames: u64,
    sequence: u32,
    graphs: Trouble,
    pictures: Trouble,
    systemd: Trouble,
}

impl Run {
    fn stream(&mut self, source: &mut dyn FrameSource, stop: &AtomicBool) -> Result<io::Result<()>> {
        self.systemd.note(self.notifier.ready());
        while !stop.load(Ordering::Relaxed) {
            let Some(frame) = source.next_frame()? else {
                return Ok(if stop.load(Ordering::Relaxed) { Ok(()) } else { self.tell_the_last() });
            };
            if let Err(error) = self.frame(&frame).and_then(|()| self.sinks.check()) {
                return Ok(Err(error));
            }
            let (counts, dropped_captions) = (source.counts(), self.monitor.dropped());
            self.health.change(|health| {
                health.counts.dropped_frames = counts.dropped;
                health.counts.recoveries = counts.recoveries;
                health.counts.dropped_captions = dropped_captions;
            });
        }
        Ok(Ok(()))
    }

    fn frame(&mut self, frame: &Frame) -> io::Result<()> {
        let (now, time) = (Instant::now(), SystemTime::now());
        self.systemd.note(self.notifier.frame(now));
        let is_wanted = self.watcher.wants(frame, now);
        self.health.change(|health| {
            health.counts.frames += 1;
            health.counts.gated += u64::from(!is_wanted);
        });
        let (told, verdict) = if is_wanted { self.caption(frame, now, time) } else { (Ok(()), "gated") };
        let change = self.watcher.change();
        let (from_settled, from_last) = (change.from_settled, change.from_last);
        log::debug!("frame {}: changed {from_settled:.3}, {from_last:.3} since the last: {verdict}", self.frames);
        self.frames += 1;
        told
    }

    /// Captions a frame and tells the caption, if it is to be; also what became of it in a word.
    fn caption(&mut self, frame: &Frame, now: Instant, time: SystemTime) -> (io::Result<()>, &'static str) {
        let caption = self.captioner.caption(frame);
        self.graphs.note(caption.as_ref().map(|_| ()));
        let Ok(caption) = caption else {
            self.health.change(|health| health.counts.failed += 1);
            return (Ok(()), "failed");
        };
        let verdict = self.watcher.weigh(caption, now);
        self.health.change(|health| health.add_caption(caption.latency.total()));
        match verdict {
            Verdict::Wait => (Ok(()), "waits"),
            Verdict::Same => (Ok(()), "same"),
            Verdict::Unsure => {
                self.health.change(|health| health.counts.unsure += 1);
                (Ok(()), "unsure")
            }
            Verdict::Tell { is_unsure } => {
                let report = report(&mut self.sequence, caption.clone(), time, is_unsure);
                self.keep_picture(frame, &report);
                (self.tell(&report), "told")
            }
        }
    }

    /// The stream has ended, so nothing will contradict the caption that had not held yet.
    fn tell_the_last(&mut self) -> io::Result<()> {
        let Some((caption, Verdict::Tell { is_unsure })) = self.watcher.finish() else { return Ok(()) };
        let report = report(&mut self.sequence, caption.clone(), SystemTime::now(), is_unsure);
        self.tell(&report)
    }

    fn tell(&mut self, report: &Report) -> io::Result<()> {
        self.health.change(|health| health.counts.told += 1);
        self.systemd.note(self.notifier.status(&report.caption.text));
        self.sinks.send(report)
    }

    fn keep_picture(&mut self, frame: &Frame, report: &Report) {
        let Some(frame_log) = &mut self.frame_log else { return };
        let kept = frame_log.keep(frame, report.sequence, report.time);
        self.health.change(|health| health.counts.lost_pictures += u64::from(kept.is_err()));
        self.pictures.note(kept);
    }

    fn finish(mut self) -> io::Result<()> {
        self.systemd.note(self.notifier.stopping());
        let printed = self.sinks.finish(PATIENCE);
        let dropped_captions = self.monitor.dropped();
        self.health.change(|health| health.counts.dropped_captions = dropped_captions);
        printed
    }
}

/// The next report of the run.
fn report(next: &mut u32, caption: Caption, time: SystemTime, is_unsure: bool) -> Report {
    let sequence = *next;
    *next = sequence.wrapping_add(1);
    Report { sequence, time, caption, is_unsure }
}

/// What can fail again and again, in the log once when that begins and once when it is over.
struct Trouble {
    with: &'static str,
    is_on: bool,
}

impl Trouble {
    fn new(with: &'static str) -> Self {
        Self { with, is_on: false }
    }

    fn note<E: Display>(&mut self, outcome: std::result::Result<(), E>) {
        let was_on = std::mem::replace(&mut self.is_on, outcome.is_err());
        match outcome {
            Err(error) if !was_on => log::warn!("{error}; going on"),
            Ok(()) if was_on => log::warn!("no more trouble with {}", self.with),
            _ => {}
        }
    }
}
