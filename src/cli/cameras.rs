//! `scenescribe cameras`: what there is to look through.

use std::fmt::Write as _;
use std::process::ExitCode;

use scenescribe::Result;
use scenescribe::source::{ListedCamera, ListedFormat, find_rpicam, list_cameras};

use super::print_report;

/// List the cameras of this machine with their formats and sizes
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_: &Args) -> ExitCode {
    print_report(report())
}

fn report() -> Result<String> {
    let cameras = list_cameras()?;
    let mut report: String = cameras.iter().map(describe).collect();
    if let Some(program) = find_rpicam() {
        let _ = writeln!(report, "rpicam\n  a Raspberry Pi's own camera through {}", program.display());
    }
    if report.is_empty() {
        log::warn!("no camera found: there is no /dev/video* that captures, and no rpicam-vid on the path");
    }
    Ok(report)
}

fn describe(camera: &ListedCamera) -> String {
    let mut lines = camera.path.display().to_string();
    if !camera.card.is_empty() {
        let _ = write!(lines, "  {} (driver {})", camera.card, camera.driver);
    }
    lines.push('\n');
    for format in &camera.formats {
        let _ = writeln!(lines, "  {:<5} {}", format.name, sizes(format));
    }
    if let Some(problem) = &camera.problem {
        let _ = writeln!(lines, "  {problem}");
    }
    lines
}

fn sizes(format: &ListedFormat) -> String {
    let size = |[least, greatest]: &[(u32, u32); 2]| match least == greatest {
        true => format!("{}x{}", least.0, least.1),
        false => format!("{}x{} to {}x{}", least.0, least.1, greatest.0, greatest.1),
    };
    format.sizes.iter().map(size).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_a_line_and_each_format_one() {
        let range = [(2, 2), (9, 9)];
        let formats = vec![
            ListedFormat { name: "YUYV".into(), sizes: vec![[(640, 480); 2], [(320, 240); 2]] },
            ListedFormat { name: "MJPG".into(), sizes: vec![range] },
        ];
        let (path, card, driver) = ("/dev/video0".into(), "Webcam".into(), "uvcvideo".into());
        let camera = ListedCamera { path, card, driver, formats, problem: None };
        let expected = "/dev/video0  Webcam (driver uvcvideo)\n  YUYV  640x480 320x240\n  MJPG  2x2 to 9x9\n";
        assert_eq!(describe(&camera), expected);
    }
}
