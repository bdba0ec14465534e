//! Photos decoded ahead of the model, on threads of their own.
//!
//! The photos are dealt to the threads in turn, and taken from them in the same turn, so that the order stays. Each thread
//! is at most two photos ahead, and what it holds of these is three bytes a pixel at the encoder's size, whatever size the
//! photos are. The threads resize and the model's thread normalises, so that both have about as much to do.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::look::look;
use super::photo::Photo;
use super::run::Settings;
use crate::error::{Error, Result};
use crate::preprocess::{Preprocessor, ResizeBuffers};
use crate::source::PictureReader;

/// A photo to be captioned, and which journals lack it.
#[derive(Debug, Default)]
pub(crate) struct Task {
    pub photo: Photo,
    pub needs_jsonl: bool,
    pub needs_csv: bool,
    /// Why there is nothing to read.
    pub error: Option<Error>,
}

/// A photo on its way to the model.
pub(crate) struct Seen {
    pub task: Task,
    /// What the photo looks like, if that is asked for.
    pub look: Result<Option<u64>>,
    pub resized: Resized,
    pub time: Duration,
}

/// Pictures that a thread has: one at the model, one waiting for it, one being written.
const RESIZED_EACH: usize = 3;

/// A picture at the encoder's size, (height, width, 3).
pub(crate) type Resized = Box<[u8]>;

/// Gives the photos in order, ready for the encoder.
pub(crate) struct Ahead {
    lanes: Vec<Lane>,
    next: usize,
}

struct Lane {
    seen: Receiver<Seen>,
    used: Sender<Resized>,
}

impl Ahead {
    /// Starts the threads that decode what `tasks` gives, and one that asks for it.
    ///
    /// # Errors
    /// [`Error::Threads`].
    pub fn start(
        settings: &Settings,
        preprocessor: &Arc<Preprocessor>,
        tasks: impl Iterator<Item = Task> + Send + 'static,
    ) -> Result<Self> {
        let failed = |cause| Error::Threads { count: settings.jobs + 1, cause };
        let (mut lanes, mut inputs) = (Vec::new(), Vec::new());
        for _ in 0..settings.jobs {
            let (input, dealt) = sync_channel(1);
            let (sender, seen) = sync_channel(1);
            let (used, free) = channel();
            for _ in 0..RESIZED_EACH {
                let _ = used.send(vec![0; preprocessor.output_len()].into());
            }
            let decoder = Decoder::new(settings, Arc::clone(preprocessor));
            thread::Builder::new().spawn(move || decoder.run(&dealt, &free, &sender)).map_err(failed)?;
            lanes.push(Lane { seen, used });
            inputs.push(input);
        }
        thread::Builder::new().spawn(move || deal(tasks, &inputs)).map_err(failed)?;
        Ok(Self { lanes, next: 0 })
    }

    /// The next photo; `None` after the last.
    pub fn next(&mut self) -> Option<Seen> {
        let seen = self.lanes[self.next].seen.recv().ok()?;
        self.next = (self.next + 1) % self.lanes.len();
        Some(seen)
    }

    /// Takes back the memory of the photo that [`next`](Self::next) gave last.
    pub fn give_back(&self, resized: Resized) {
        let last = (self.next + self.lanes.len() - 1) % self.lanes.len();
        // A thread that has ended needs no memory.
        let _ = self.lanes[last].used.send(resized);
    }
}

fn deal(tasks: impl Iterator<Item = Task>, inputs: &[SyncSender<Task>]) {
    for (task, input) in tasks.zip(inputs.iter().cycle()) {
        if input.send(task).is_err() {
            return;
        }
    }
}

struct Decoder {
    takes_looks: bool,
    preprocessor: Arc<Preprocessor>,
    buffers: ResizeBuffers,
    reader: PictureReader,
}

impl Decoder {
    fn new(settings: &Settings, preprocessor: Arc<Preprocessor>) -> Self {
        let takes_looks = settings.similar_bits.is_some();
        let reader = PictureReader::for_encoder(preprocessor.spec());
        Self { takes_looks, buffers: preprocessor.buffers(), reader, preprocessor }
    }

    fn run(mut self, tasks: &Receiver<Task>, free: &Receiver<Resized>, seen: &SyncSender<Seen>) {
        while let (Ok(mut task), Ok(mut resized)) = (tasks.recv(), free.recv()) {
            let start = Instant::now();
            let look = match task.error.take() {
                Some(error) => Err(error),
                None => self.prepare(&task.photo, &mut resized),
            };
            if seen.send(Seen { task, look, resized, time: start.elapsed() }).is_err() {
                return;
            }
        }
    }

    fn prepare(&mut self, photo: &Photo, resized: &mut Resized) -> Result<Option<u64>> {
        let frame = self.reader.read(&photo.path)?;
        self.preprocessor.resize(&frame, &mut self.buffers, resized);
        Ok(self.takes_looks.then(|| look(&frame)))
    }
}
