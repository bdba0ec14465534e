//! Any bytes as the JSONL or CSV file of an earlier run, which `annotate` repairs and goes on with.
//!
//! The first byte chooses the form.
#![no_main]

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use scenescribe::annotate::{Photos, Settings, annotate, write_contact_sheet};
use scenescribe::{Captioner, Options};
use scenescribe_fuzz::{Input, fixture, scratch, start, within};
use tempfile::TempDir;

/// Queues and threads of a run without photos, and what the file holds.
const BUDGET: usize = 16 << 20;

struct Bench {
    folder: TempDir,
    captioner: Captioner,
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench {
        folder: scratch(),
        captioner: Captioner::open(fixture("tiny"), &Options::default()).expect("the tiny model opens"),
    });
}

fuzz_target!(init: start(), |input: &[u8]| {
    let mut input = Input(input);
    let is_csv = input.byte() & 1 == 1;
    BENCH.with_borrow_mut(|bench| {
        let path = bench.folder.path().join("records");
        fs::write(&path, input.0).expect("the scratch folder can be written to");
        let settings = Settings {
            jsonl: (!is_csv).then(|| path.clone()),
            csv: is_csv.then(|| path.clone()),
            jobs: 1,
            ..Settings::default()
        };
        within(BUDGET, || repair(&mut bench.captioner, &settings, &path, input.0));
        if !is_csv {
            within(BUDGET, || drop(write_contact_sheet(&path, &bench.folder.path().join("page"))));
        }
    });
});

/// A file of records loses at most a torn end, and nothing the second time; a file of other things is not touched.
fn repair(captioner: &mut Captioner, settings: &Settings, path: &PathBuf, old: &[u8]) {
    let mut run = || {
        let outcome = annotate(captioner, Photos::new(vec![]), settings.clone(), &mut |_, _| {});
        (outcome.is_ok(), fs::read(path).expect("the records are still there"))
    };
    let (is_repaired, new) = run();
    if !is_repaired {
        assert_eq!(new, old, "a file of other things must stay");
        return;
    }
    let kept = new.iter().zip(old).take_while(|(new, old)| new == old).count();
    let is_new_csv = settings.csv.is_some() && old.iter().filter(|byte| **byte == b'\n').count() == 0;
    assert!(kept == new.len() || is_new_csv, "a repair must only cut");
    assert_eq!(run(), (true, new), "a repaired file needs no more repair");
}
