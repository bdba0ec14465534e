//! `scenescribe caption`: a line for each picture.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use scenescribe::{Caption, Captioner, Error, Frame, PictureReader, list_pictures, sink};

use super::model_args::ModelArgs;
use super::{exit_code, fail};

/// Print a sentence for each picture
///
/// One picture gives its caption; several give `path<TAB>caption` a line. A picture that cannot be read is reported on
/// standard error, the others are captioned all the same, and the exit code is 1.
#[derive(clap::Args)]
pub struct Args {
    /// JPEG, PNG, WebP, BMP, GIF or TIFF files, folders of them, or - for standard input
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,

    /// Print JSON lines: source, caption, confidence, tokens, latency by stage
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    model: ModelArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let captioner = match args.model.captioner() {
        Ok(captioner) => captioner,
        Err(error) => return fail(&error),
    };
    let is_folder = |photo: &PathBuf| photo.is_dir();
    let form = match args {
        Args { json: true, .. } => Form::Json,
        Args { photos, .. } if photos.len() > 1 || photos.iter().any(is_folder) => Form::PathAndCaption,
        _ => Form::Caption,
    };
    let reader = PictureReader::for_encoder(captioner.model().preprocessor.spec());
    let mut run = Run { captioner, reader, form, has_failed: false };
    let printed = run.photos(&args.photos);
    exit_code(printed, ExitCode::from(u8::from(run.has_failed)))
}

/// How a caption is printed.
#[derive(Clone, Copy)]
enum Form {
    Caption,
    PathAndCaption,
    Json,
}

struct Run {
    captioner: Captioner,
    reader: PictureReader,
    form: Form,
    has_failed: bool,
}

impl Run {
    /// Captions all, whatever becomes of each; ends early only if standard output does.
    fn photos(&mut self, photos: &[PathBuf]) -> io::Result<()> {
        for photo in photos {
            if photo.is_dir() {
                self.folder(photo)?;
            } else {
                self.photo(photo)?;
            }
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path) -> io::Result<()> {
        match list_pictures(folder) {
            Ok(pictures) => pictures.iter().try_for_each(|picture| self.photo(picture)),
            Err(error) => {
                self.fail(&error);
                Ok(())
            }
        }
    }

    fn photo(&mut self, photo: &Path) -> io::Result<()> {
        let is_stdin = photo.as_os_str() == "-";
        let frame = if is_stdin {
            self.reader.read_from(io::stdin().lock(), Path::new("standard input"))
        } else {
            self.reader.read(photo)
        };
        let outcome = frame.and_then(|frame: Frame| self.captioner.caption(&frame));
        match outcome {
            Ok(caption) => print(self.form, photo, caption),
            Err(error) => {
                self.fail(&error);
                Ok(())
            }
        }
    }

    fn fail(&mut self, error: &Error) {
        self.has_failed = true;
        log::error!("{error}");
    }
}

fn print(form: Form, photo: &Path, caption: &Caption) -> io::Result<()> {
    let mut stdout = sink::stdout();
    let path = photo.display();
    match form {
        Form::Caption => sink::write_text(&mut stdout, None, caption),
        Form::PathAndCaption => sink::write_text(&mut stdout, Some(&path as &dyn Display), caption),
        Form::Json => sink::write_json(&mut stdout, &photo.to_string_lossy(), caption),
    }
}
