//! `scenescribe annotate`: a disk full of photos.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use scenescribe::annotate::{Metadata, Photos, Places, Settings, Tally, annotate, write_contact_sheet};
use scenescribe::limits::{MAX_BEAM, MAX_JOBS};
use scenescribe::{Error, Result};

use super::fail;
use super::model_args::ModelArgs;
use super::progress::{Progress, Style};

/// Caption a disk full of photos, and go on where a stopped run ended
///
/// What is done is read from the outputs themselves, so the same command goes on after Ctrl-C, a crash or a power cut. A
/// photo that has changed, or that another model captioned, is done again. A photo that cannot be read becomes an error
/// record, the others are captioned all the same, and the exit code is 1.
#[derive(clap::Args)]
#[command(override_usage = "scenescribe annotate [OPTIONS] <OUTPUT>... <PATH>...")]
#[command(group(clap::ArgGroup::new("outputs").required(true).multiple(true)))]
pub struct Args {
    /// Photos, and folders to be walked by name
    #[arg(value_name = "PATH", required_unless_present = "list")]
    paths: Vec<PathBuf>,

    /// Also take the paths in FILE, one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,

    /// The list has NUL between paths, as find -print0 writes it
    #[arg(short = '0', requires = "list", hide_short_help = true)]
    nul: bool,

    /// Output: append JSON lines to FILE; - prints them
    #[arg(long, value_name = "FILE", group = "outputs")]
    jsonl: Option<PathBuf>,

    /// Output: append comma-separated values to FILE; - prints them
    #[arg(long, value_name = "FILE", group = "outputs")]
    csv: Option<PathBuf>,

    /// Output: a file beside each photo, IMG_1.jpg.xmp or IMG_1.jpg.txt
    #[arg(long, value_name = "KIND", group = "outputs", hide_possible_values = true)]
    sidecar: Vec<Sidecar>,

    /// Name sidecars after the photo's name, or its stem: IMG_1.xmp
    #[arg(long, value_name = "NAMING", default_value = "full", requires = "sidecar", hide_short_help = true)]
    sidecar_name: Naming,

    /// Output: inside JPEG and PNG files, as XMP, EXIF and IPTC
    #[arg(long, group = "outputs")]
    embed: bool,

    /// Photos keep their time of change when a caption is put into them
    #[arg(long, requires = "embed", hide_short_help = true)]
    keep_mtime: bool,

    /// Replace what is there: ours (of the same model), human
    #[arg(long, value_name = "WHOSE", hide_possible_values = true)]
    overwrite: Vec<Whose>,

    /// Write a page with thumbnails and captions of all records
    #[arg(long, value_name = "FILE", requires = "jsonl")]
    html: Option<PathBuf>,

    /// Also record the K best captions of the beam
    #[arg(long, value_name = "K", hide_short_help = true, value_parser = clap::value_parser!(u64).range(1..=MAX_BEAM as u64))]
    top: Option<u64>,

    /// Copy the caption of a photo whose look differs in at most BITS of 64
    #[arg(long, value_name = "BITS", requires = "jsonl", value_parser = clap::value_parser!(u32).range(0..=32))]
    skip_similar: Option<u32>,

    /// End at the first photo that fails, also one that has failed before
    #[arg(long, hide_short_help = true)]
    strict: bool,

    /// Try photos again that have failed before
    #[arg(long, hide_short_help = true)]
    retry_errors: bool,

    /// Threads that decode photos ahead of the model
    #[arg(long, value_name = "N", default_value_t = 1, hide_short_help = true, value_parser = clap::value_parser!(u64).range(1..=MAX_JOBS as u64))]
    jobs: u64,

    /// What to show on standard error [default: a bar on a terminal]
    #[arg(long, value_name = "STYLE", hide_short_help = true)]
    progress: Option<Style>,

    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sidecar {
    /// Adobe's XMP, merged into what is there
    Xmp,
    /// Plain text, the caption in the first line
    Txt,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Naming {
    Full,
    Stem,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Whose {
    /// Captions of this program, by the same model
    Ours,
    /// Descriptions by people and other programs
    Human,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    match captioned(args) {
        Ok(tally) if tally.total() == 0 => {
            log::error!("there is no photo among the paths (.jpg, .jpeg, .png, .webp, .bmp, .gif, .tif, .tiff)");
            ExitCode::FAILURE
        }
        Ok(tally) => ExitCode::from(u8::from(tally.failed > 0)),
        Err(Error::Write { cause, .. }) if cause.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn captioned(args: &Args) -> Result<Tally> {
    let photos = photos(args)?;
    let mut captioner = args.model.captioner()?;
    let rules = captioner.model().decoder.rules();
    let settings = Settings {
        model: args.model.short_name(),
        model_hash: args.model.digest(rules)?,
        jsonl: args.jsonl.clone(),
        csv: args.csv.clone(),
        metadata: metadata(args),
        top: args.top.map_or(0, |k| k as usize),
        similar_bits: args.skip_similar,
        is_strict: args.strict,
        retries_errors: args.retry_errors,
        jobs: args.jobs as usize,
    };
    let mut progress = Progress::start(args.progress, &args.paths, args.list.is_some());
    let tally = annotate(&mut captioner, photos, settings, &mut |tally, record| progress.show(tally, record))?;
    progress.finish(&tally);
    if let (Some(page), Some(records)) = (&args.html, &args.jsonl) {
        write_contact_sheet(records, page)?;
    }
    Ok(tally)
}

fn metadata(args: &Args) -> Metadata {
    let [xmp, txt] = [Sidecar::Xmp, Sidecar::Txt].map(|kind| args.sidecar.contains(&kind));
    Metadata {
        places: Places { xmp, txt, embedded: args.embed },
        is_named_by_stem: args.sidecar_name == Naming::Stem,
        overwrites_ours: args.overwrite.contains(&Whose::Ours),
        overwrites_human: args.overwrite.contains(&Whose::Human),
        keeps_mtime: args.keep_mtime,
    }
}

fn photos(args: &Args) -> Result<Photos> {
    let photos = Photos::new(args.paths.clone());
    match &args.list {
        None => Ok(photos),
        Some(list) if list.as_os_str() == "-" => {
            let stdin = Box::new(BufReader::new(io::stdin()));
            Ok(photos.with_list(Path::new("standard input").into(), stdin, args.nul))
        }
        Some(list) => {
            let file = File::open(list).map_err(|cause| Error::Read { path: list.clone(), cause })?;
            Ok(photos.with_list(list.clone(), Box::new(BufReader::new(file)), args.nul))
        }
    }
}
