//! What the library promises of memory, measured by the allocator itself: a program of its own, since nothing else may
//! allocate meanwhile.
//!
//! `cargo test --release --test memory -- --frames N [--embedded]` follows more frames, or the model inside the program.

use std::path::Path;

use scenescribe::{Captioner, Frame, MemoryPool, Options, Precision, TestPattern};

#[global_allocator]
static HEAP: MemoryPool = MemoryPool;

const POOL_BYTES: usize = 32 << 20;

/// How far a need that was computed beforehand may be from what is used.
const TOLERANCE: f64 = 0.15;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let frames = arguments.iter().position(|argument| argument == "--frames").map(|at| arguments[at + 1].parse());
    let frames = frames.map_or(2_000, |frames| frames.expect("--frames N"));
    let is_embedded = arguments.iter().any(|argument| argument == "--embedded");
    MemoryPool::take(POOL_BYTES, |exhaustion| eprintln!("{exhaustion}")).expect("the machine has this little");
    needs_are_what_is_used();
    memory_is_the_same_after_every_frame(frames, is_embedded);
}

/// Opens a model of the fixtures, or the one inside the program.
fn open(fixture: Option<&str>, options: &Options) -> Captioner {
    let captioner = match fixture {
        Some(name) => Captioner::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name), options),
        None => Captioner::embedded(options),
    };
    captioner.expect("the model is in the repository")
}

fn needs_are_what_is_used() {
    let options = |precision| Options { threads: Some(1), precision, ..Options::default() };
    let float = options(Some(Precision::Float));
    let models = [
        ("tiny, int8", Some("tiny"), options(None)),
        ("tiny, floats", Some("tiny"), float),
        ("cache", Some("cache"), options(None)),
        ("embedded", None, options(None)),
    ];
    for (name, folder, options) in models {
        MemoryPool::reset_peak();
        let mut captioner = open(folder, &options);
        captioner.rehearse().expect("the graphs run");
        captioner.caption(&TestPattern::new(640, 480).frame()).expect("the pattern has a caption");
        let (needed, used) = (captioner.model().memory_need.total() as f64, MemoryPool::peak() as f64);
        println!("{name}: {:.2} MB computed, {:.2} MB used at most", needed / 1e6, used / 1e6);
        assert!((needed / used - 1.0).abs() <= TOLERANCE, "{name}");
    }
}

/// After the third frame: what is in use between frames never changes, nor does the most in use during one grow.
fn memory_is_the_same_after_every_frame(frames: u32, is_embedded: bool) {
    let options = Options { threads: Some(2), ..Options::default() };
    let mut captioner = open((!is_embedded).then_some("tiny"), &options);
    let mut noise = Noise::default();
    MemoryPool::reset_peak();
    let mut steady = None;
    let mut longest = 0;
    for frame in 1..=frames {
        let caption = captioner.caption(&noise.frame()).expect("every frame has a caption");
        longest = longest.max(caption.tokens.len());
        let now = (MemoryPool::used(), MemoryPool::peak());
        if frame >= 3 {
            assert_eq!(now, *steady.get_or_insert(now), "bytes in use and peak, frame {frame} against frame 3");
        }
    }
    let (used, peak) = steady.expect("more than three frames");
    println!("{frames} frames: {used} bytes in use after each, {peak} at most; captions of up to {longest} tokens");
}

/// Pictures of changing sizes, colours and textures.
struct Noise {
    seed: u32,
    pixels: Vec<u8>,
}

impl Default for Noise {
    fn default() -> Self {
        Self { seed: 1, pixels: vec![0; 320 * 320 * 3] }
    }
}

impl Noise {
    fn next(&mut self) -> u32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.seed >> 8
    }

    fn frame(&mut self) -> Frame<'_> {
        let [width, height] = [0; 2].map(|_| 8 + self.next() % 313);
        let (base, spread) = (self.next(), 1 + self.next() % 255);
        let len = (width * height * 3) as usize;
        for at in 0..len {
            let colour = base >> (8 * (at % 3)) & 255;
            self.pixels[at] = ((colour + self.next() % spread) % 256) as u8;
        }
        Frame::new(width, height, &self.pixels[..len]).expect("as many bytes as it has pixels")
    }
}
