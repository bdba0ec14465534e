//! Arguments in a file: `@FILE` stands for the lines of FILE, one argument a line, as a service or a board keeps them.
//!
//! Lines are trimmed; empty lines and lines that start with `#` are left out. Files do not nest. After `--` nothing is
//! expanded, and a picture whose name starts with `@` can be written `./@NAME`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes of the longest file of arguments.
const MAX_FILE: usize = 64 * 1024;

/// Why the arguments of a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("cannot read the arguments in {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("{} is longer than {MAX_FILE} bytes: a file of arguments has one a line", .0.display())]
    TooLong(PathBuf),
    #[error("{}:{line}: a file of arguments cannot name another with @: put its lines here", path.display())]
    Nested { path: PathBuf, line: usize },
}

/// The arguments of this process, those of files included.
///
/// # Errors
/// A file that cannot be used, by name.
pub fn from_env() -> Result<Vec<OsString>, Problem> {
    expand(&std::env::args_os().collect::<Vec<_>>())
}

fn expand(given: &[OsString]) -> Result<Vec<OsString>, Problem> {
    let mut expanded = Vec::with_capacity(given.len());
    let mut is_literal = false;
    for (place, argument) in given.iter().enumerate() {
        is_literal |= argument == "--";
        match argument.as_bytes() {
            [b'@', path @ ..] if place > 0 && !is_literal => read(Path::new(OsStr::from_bytes(path)), &mut expanded)?,
            _ => expanded.push(argument.clone()),
        }
    }
    Ok(expanded)
}

fn read(path: &Path, expanded: &mut Vec<OsString>) -> Result<(), Problem> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_end(&mut text))
        .map_err(|cause| Problem::Unreadable { path: path.into(), cause })?;
    if text.len() > MAX_FILE {
        return Err(Problem::TooLong(path.into()));
    }
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        match line.trim_ascii() {
            [] | [b'#', ..] => {}
            [b'@', ..] => return Err(Problem::Nested { path: path.into(), line: index + 1 }),
            argument => expanded.push(OsStr::from_bytes(argument).into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &[&str]) -> Result<Vec<String>, String> {
        let given: Vec<OsString> = arguments.iter().map(Into::into).collect();
        let expanded = expand(&given).map_err(|problem| problem.to_string())?;
        Ok(expanded.into_iter().map(|argument| argument.into_string().expect("the test writes UTF-8")).collect())
    }

    fn file(text: &[u8]) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        let path = folder.path().join("board.args");
        std::fs::write(&path, text).expect("the temporary folder can be written");
        let argument = format!("@{}", path.display());
        (folder, argument)
    }

    #[test]
    fn lines_stand_in_the_place_of_the_file() {
        let (_folder, argument) = file(b"# a board\n--threads=4\n\n  --serial  \r\n/dev/tty with space\n--json");
        let arguments = expanded(&["scenescribe", "watch", &argument, "--beam", "1"]).expect("the file is right");
        let wanted =
            ["scenescribe", "watch", "--threads=4", "--serial", "/dev/tty with space", "--json", "--beam", "1"];
        assert_eq!(arguments, wanted);
    }

    #[test]
    fn nothing_is_expanded_after_two_dashes() {
        assert_eq!(expanded(&["@0", "caption", "--", "@absent"]).unwrap(), ["@0", "caption", "--", "@absent"]);
    }

    #[test]
    fn files_that_cannot_be_used_are_refused_by_name() {
        let (_nesting, nesting) = file(b"--json\n@other");
        let (_long, long) = file(&[b'#'; MAX_FILE + 1]);
        for (argument, reason) in [
            (nesting.as_str(), "board.args:2: "),
            (&long, "longer than 65536"),
            ("@/absent/file", "/absent/file: No such"),
        ] {
            let problem = expanded(&["scenescribe", argument]).expect_err("the file cannot be used");
            assert!(problem.contains(reason), "{problem}");
        }
    }
}
