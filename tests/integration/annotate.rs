//! `scenescribe annotate`: walks, journals, resumes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Output;

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::*;

/// `annotate` with the tiny model.
pub fn annotate(arguments: &[&str]) -> Output {
    annotate_list(arguments, b"")
}

fn annotate_list(arguments: &[&str], list: &[u8]) -> Output {
    let model = fixture("tiny").display().to_string();
    scenescribe_with_input(&[&["annotate", "--model", &model, "--threads", "1"], arguments].concat(), list)
}

/// The records, less what differs from run to run.
pub fn records(jsonl: &Path) -> Vec<Value> {
    let text = fs::read_to_string(jsonl).unwrap();
    text.lines().map(|line| without_time(serde_json::from_str(line).unwrap())).collect()
}

fn without_time(mut record: Value) -> Value {
    record.as_object_mut().unwrap().remove("time_ms").expect("every record tells its time");
    record
}

fn names(records: &[Value]) -> Vec<&str> {
    let name = |record: &'_ Value| record["path"].as_str().unwrap().rsplit('/').next().unwrap().len();
    records
        .iter()
        .map(|record| record["path"].as_str().map(|path| &path[path.len() - name(record)..]).unwrap())
        .collect()
}

/// A coloured square that differs from number to number.
pub fn numbered(number: u32) -> RgbImage {
    let mut picture = square(48);
    for x in 0..=number % 40 {
        picture.put_pixel(x, 2 + number % 7, Rgb([40, 220, (number * 5 % 256) as u8]));
    }
    picture
}

/// `count` photos `000.png`, ... in a folder `photos`, every seventh cut short.
pub fn library(count: u32) -> TempDir {
    let library = folder();
    fs::create_dir(library.path().join("photos")).unwrap();
    for number in 0..count {
        let mut bytes = encoded(&numbered(number), ImageFormat::Png);
        if number % 7 == 6 {
            bytes.truncate(bytes.len() / 2);
        }
        file(&library, &format!("photos/{number:03}.png"), &bytes);
    }
    library
}

pub fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn each_photo_becomes_a_record_in_a_stable_order() {
    let library = library(9);
    fs::create_dir(path(&library, "photos/005")).unwrap();
    file(&library, "photos/005/a.TIF", &encoded(&square(64), ImageFormat::Tiff));
    let jsonl = path(&library, "out.jsonl");
    let output = annotate(&["--jobs", "3", "--jsonl", &jsonl, &path(&library, "photos")]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let records = records(Path::new(&jsonl));
    let order = ["000.png", "001.png", "002.png", "003.png", "004.png", "a.TIF"];
    assert_eq!(names(&records)[..6], order);
    assert_eq!(names(&records)[6..], ["005.png", "006.png", "007.png", "008.png"]);
    assert!(records[5]["caption"].as_str().unwrap().starts_with("a large red square"), "{}", records[5]);
    let confidence = records[0]["confidence"].as_f64().unwrap();
    assert!(confidence > 0.0 && confidence <= 1.0, "{confidence}");
    let metadata = fs::metadata(path(&library, "photos/000.png")).unwrap();
    assert_eq!(records[0]["size"], metadata.len());
    assert_eq!((&records[0]["model"], records[0]["model_hash"].as_str().unwrap().len()), (&"tiny".into(), 64));
    let error = records[7]["error"].as_str().unwrap();
    assert!(error.contains("006.png") && error.contains("cut short"), "{error}");
    assert_eq!(records[7]["caption"], Value::Null);
    assert!(stderr(&output).contains("9 captioned") && stderr(&output).contains("1 failed"), "{}", stderr(&output));
}

#[test]
fn annotate_and_caption_say_the_same() {
    let photo = fixture("photos/dog.jpg");
    let annotated = annotate(&["--jsonl", "-", photo.to_str().unwrap()]);
    let captioned = caption_tiny(std::slice::from_ref(&photo), &["--json"]);
    let [annotated, captioned]: [Value; 2] =
        [&annotated, &captioned].map(|output| serde_json::from_str(stdout(output)).unwrap());
    for key in ["caption", "confidence"] {
        assert_eq!(annotated[key], captioned[key]);
    }
}

#[test]
fn a_second_run_does_what_is_new_changed_or_failed_on_request() {
    let library = library(8);
    let (jsonl, photos) = (path(&library, "out.jsonl"), path(&library, "photos"));
    let count = || records(Path::new(&jsonl)).len();
    annotate(&["--jsonl", &jsonl, &photos]);
    let again = annotate(&["--jsonl", &jsonl, &photos, &photos]);
    assert_eq!((count(), again.status.code()), (8, Some(1)), "the photo that failed still counts");
    assert!(stderr(&again).contains("7 done before, 1 failed"), "{}", stderr(&again));
    file(&library, "photos/003.png", &encoded(&square(50), ImageFormat::Png));
    file(&library, "photos/zzz.png", &encoded(&square(50), ImageFormat::Png));
    annotate(&["--jsonl", &jsonl, &photos]);
    assert_eq!(names(&records(Path::new(&jsonl)))[8..], ["003.png", "zzz.png"]);
    annotate(&["--jsonl", &jsonl, "--retry-errors", &photos]);
    assert_eq!(names(&records(Path::new(&jsonl)))[10..], ["006.png"]);
    annotate(&["--jsonl", &jsonl, "--beam", "1", &photos]);
    assert_eq!(count(), 11 + 9, "another search is another model");
}

#[test]
fn strict_ends_at_the_first_failure() {
    let library = library(20);
    let jsonl = path(&library, "out.jsonl");
    let output = annotate(&["--strict", "--jsonl", &jsonl, &path(&library, "photos")]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(records(Path::new(&jsonl)).len(), 7);
}

#[test]
fn a_list_may_come_through_a_pipe() {
    let library = library(3);
    let photo = |number: u32| path(&library, &format!("photos/{number:03}.png"));
    let list = format!("{}\0{}\0missing\n.jpg\0{}\0", photo(2), photo(0), photo(0));
    let output = annotate_list(&["--list", "-", "-0", "--jsonl", "-"], list.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    let records: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<_> = records.iter().map(|record| record["path"].as_str().unwrap()).collect();
    assert_eq!(paths, [photo(2), photo(0), "missing\n.jpg".into(), photo(0)]);
    assert!(records[2]["error"].as_str().unwrap().contains("No such file"));
    assert_eq!(records[1]["caption"], records[3]["caption"]);
}

#[test]
fn a_client_gets_each_answer_before_it_asks_again() {
    use std::io::Write;
    use std::process::Stdio;
    let model = fixture("tiny").display().to_string();
    let mut child = program()
        .args(["annotate", "--model", &model, "--list", "-", "--jsonl", "-", "--jobs", "2"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut questions = child.stdin.take().unwrap();
    for _ in 0..5 {
        writeln!(questions, "{}", fixture("photos/dog.jpg").display()).unwrap();
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert!(answer["caption"].is_string());
    }
    drop(questions);
    assert!(answers.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn csv_holds_the_same() {
    let library = library(8);
    let (jsonl, csv) = (path(&library, "out.jsonl"), path(&library, "out.csv"));
    annotate(&["--jsonl", &jsonl, "--csv", &csv, &path(&library, "photos")]);
    let table = fs::read_to_string(&csv).unwrap();
    let rows: Vec<_> = table.lines().collect();
    assert!(rows[0].starts_with("path,caption,confidence,"), "{}", rows[0]);
    assert_eq!(rows.len(), 9);
    for (row, record) in rows[1..].iter().zip(records(Path::new(&jsonl))) {
        let caption = record["caption"].as_str().unwrap_or_default();
        assert!(row.starts_with(&format!("{},{caption},", record["path"].as_str().unwrap())), "{row}");
    }
    // A table that was added later is filled without touching what is complete.
    fs::remove_file(&csv).unwrap();
    annotate(&["--jsonl", &jsonl, "--csv", &csv, &path(&library, "photos")]);
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 9);
    assert_eq!(records(Path::new(&jsonl)).len(), 8);
}

#[test]
fn alternatives_come_from_the_beam_with_the_best_first() {
    let photo = fixture("photos/dog.jpg").display().to_string();
    let output = annotate(&["--jsonl", "-", "--beam", "4", "--top", "3", &photo]);
    let record: Value = serde_json::from_str(stdout(&output)).unwrap();
    let alternatives = record["alternatives"].as_array().unwrap();
    assert_eq!(alternatives.len(), 3);
    assert_eq!(alternatives[0]["caption"], record["caption"]);
    assert_ne!(alternatives[1]["caption"], record["caption"]);
    let too_many = annotate(&["--jsonl", "-", "--beam", "2", "--top", "3", &photo]);
    assert_eq!(too_many.status.code(), Some(1));
    assert!(stderr(&too_many).contains("top is 3, must be 0 to 2"), "{}", stderr(&too_many));
}

#[test]
fn a_burst_is_captioned_once() {
    let library = folder();
    let tilted = RgbImage::from_fn(90, 80, |x, y| Rgb([(x * 2) as u8, (255 - x * 2) as u8, (y * 3) as u8]));
    for (name, picture) in [("a.png", square(64)), ("b.png", square(66)), ("c.png", tilted), ("d.png", square(64))] {
        file(&library, name, &encoded(&picture, ImageFormat::Png));
    }
    let jsonl = path(&library, "out.jsonl");
    let output =
        annotate(&["--progress", "plain", "--skip-similar", "4", "--jsonl", &jsonl, library.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let records = records(Path::new(&jsonl));
    assert_eq!(records[1]["similar_to"], records[0]["path"]);
    assert_eq!(records[1]["caption"], records[0]["caption"]);
    assert!(records[2]["similar_to"].is_null() && records[3]["similar_to"].is_null(), "only neighbours are compared");
    assert!(stderr(&output).contains("3 captioned, 1 like another"), "{}", stderr(&output));
}

#[test]
fn a_killed_run_goes_on_to_the_same_end() {
    let library = library(60);
    let photos = path(&library, "photos");
    let undisturbed = path(&library, "undisturbed.jsonl");
    annotate(&["--skip-similar", "3", "--jsonl", &undisturbed, &photos]);
    let killed = path(&library, "killed.jsonl");
    let model = fixture("tiny").display().to_string();
    let mut rows = 0;
    for seed in 0..8 {
        let arguments = ["annotate", "--model", &model, "--threads", "1", "--skip-similar", "3", "--csv", "-"];
        let mut child = program().args(arguments).args(["--jsonl", &killed, &photos]).spawn().unwrap();
        // The table is on its way before the JSON line is: this kills between two photos and between two outputs. A
        // small pipe keeps the program from being done with all photos before the first of its lines is read here.
        let table = child.stdout.take().unwrap();
        rustix::pipe::fcntl_setpipe_size(&table, 4096).unwrap();
        let lines = BufReader::new(table).lines();
        rows += lines.take(1 + seed * 5 % 7).count();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(rows > 8, "some photos were done");
    let output = annotate(&["--skip-similar", "3", "--jsonl", &killed, &photos]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(records(Path::new(&killed)), records(Path::new(&undisturbed)));
}

#[test]
fn a_journal_is_neither_shared_nor_written_over() {
    let library = library(1);
    let diary = file(&library, "diary.txt", b"dear diary");
    let output = annotate(&["--jsonl", diary.to_str().unwrap(), &path(&library, "photos")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("holds other things"), "{}", stderr(&output));
    assert_eq!(fs::read(&diary).unwrap(), b"dear diary");
}

#[test]
fn wrong_usage_is_told() {
    for arguments in
        [&["."][..], &["--jsonl", "-"], &["--jsonl", "-", "-0", "."], &["--csv", "-", "--skip-similar", "3", "."]]
    {
        assert_eq!(annotate(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let empty = folder();
    let output = annotate(&["--jsonl", "-", empty.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no photo"), "{}", stderr(&output));
    let help = scenescribe(&["annotate", "-h"]);
    assert!(stdout(&help).lines().count() <= 24, "{}", stdout(&help));
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_are_not_utf8_are_kept_apart() {
    use std::os::unix::ffi::OsStringExt;
    let library = folder();
    let name = |byte: u8| PathBuf::from(std::ffi::OsString::from_vec(vec![b'a', byte, b'.', b'p', b'n', b'g']));
    for byte in [0xFE, 0xFF] {
        fs::write(library.path().join(name(byte)), encoded(&square(48), ImageFormat::Png)).unwrap();
    }
    let jsonl = path(&library, "out.jsonl");
    for _ in 0..2 {
        assert!(annotate(&["--jsonl", &jsonl, library.path().to_str().unwrap()]).status.success());
        let records = records(Path::new(&jsonl));
        assert_eq!(records.len(), 2);
        assert_ne!(records[0]["path_hex"], records[1]["path_hex"]);
    }
}
