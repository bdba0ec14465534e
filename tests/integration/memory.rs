//! `--memory`: a fixed pool that suffices, or a refusal with an exit code of its own.

use image::ImageFormat;

use crate::support::*;

const OUT_OF_MEMORY: Option<i32> = Some(3);

#[test]
fn a_pool_that_suffices_changes_no_caption() {
    let folder = folder();
    let photo = file(&folder, "square.png", &encoded(&square(64), ImageFormat::Png));
    let plain = caption_tiny(std::slice::from_ref(&photo), &[]);
    let pooled = caption_tiny(&[photo], &["--memory", "16M"]);
    assert_eq!(stdout(&pooled), stdout(&plain), "{}", stderr(&pooled));
}

#[test]
fn a_pool_that_is_too_small_is_said_with_what_is_needed() {
    let output = scenescribe(&["inspect", "--memory=2M"]);
    assert_eq!(output.status.code(), OUT_OF_MEMORY, "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).contains("of memory"), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

#[test]
fn sizes_that_mean_nothing_are_wrong_usage() {
    for size in ["0", "12", "many", "1T", "-1M"] {
        let output = scenescribe(&["inspect", "--memory", size]);
        assert_eq!(output.status.code(), Some(2), "{size}: {}", stderr(&output));
    }
    let output = scenescribe(&["inspect", "--lock-memory"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
