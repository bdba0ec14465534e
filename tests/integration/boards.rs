//! What boards need: arguments in a file, and a fingerprint to compare CPUs by.

use std::fs;
use std::path::Path;

use image::ImageFormat;

use crate::support::*;

#[test]
fn arguments_come_from_a_file() {
    let folder = folder();
    let photo = file(&folder, "square.png", &encoded(&square(64), ImageFormat::Png));
    let text = format!("# a board\n--model\n{}\n\n  --json\n", fixture("tiny").display());
    let arguments = file(&folder, "board.args", text.as_bytes());
    let output = scenescribe(&["caption".into(), format!("@{}", arguments.display()), photo.display().to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("{\"source\""), "{}", stdout(&output));
}

#[test]
fn a_file_of_arguments_that_is_not_there_is_a_usage_error() {
    let output = scenescribe(&["caption", "@/absent/board.args"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/absent/board.args"), "{}", stderr(&output));
}

#[test]
fn fingerprints_tell_pictures_apart_and_repeat() {
    let folder = folder();
    let photo = file(&folder, "a.png", &encoded(&square(64), ImageFormat::Png));
    let same = file(&folder, "b.bmp", &encoded(&square(64), ImageFormat::Bmp));
    let other = file(&folder, "c.png", &encoded(&square(96), ImageFormat::Png));
    let mut arguments =
        vec!["inspect".into(), "--model".into(), fixture("tiny").into_os_string(), "--fingerprint".into()];
    arguments.extend([photo, same, other].map(|photo| photo.into_os_string()));
    let output = scenescribe(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let hashes: Vec<_> = stdout(&output).lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(hashes.len(), 3);
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
}

/// The profile of each board is read as the program reads it: `--help` after it prints help instead of opening anything.
#[test]
fn the_arguments_of_every_board_are_known() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
    let mut boards = 0;
    for folder in
        fs::read_dir(targets).expect("the repository has targets").flatten().filter(|entry| entry.path().is_dir())
    {
        for file in fs::read_dir(folder.path()).expect("a target is a folder").flatten() {
            if file.path().extension().is_some_and(|extension| extension == "args") {
                let text = fs::read_to_string(file.path()).expect("a profile is text");
                let known = text.lines().filter(|line| line.starts_with("--"));
                let mut arguments = vec!["watch".to_string()];
                arguments.extend(known.map(String::from));
                arguments.push("--help".into());
                let output = scenescribe(&arguments);
                assert!(output.status.success(), "{}: {}", file.path().display(), stderr(&output));
                boards += 1;
            }
        }
    }
    assert!(boards > 0);
}
