//! Files that are there whole or not at all, whatever moment the power goes.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Replaces the file at `path`, or makes it: temporary name, fsync, rename, fsync of the folder.
///
/// Where there was a file, its permissions, and as far as the system allows its owner, stay; with `keeps_mtime` its time of
/// change too. A link is followed, so that it stays a link.
///
/// # Errors
/// Those of the system; the old file is then still there.
pub(crate) fn replace(path: &Path, bytes: &[u8], keeps_mtime: bool) -> io::Result<()> {
    write(path, keeps_mtime, |file| file.write_all(bytes))
}

/// As [`replace`], for what is written piece by piece.
pub(crate) fn write(
    path: &Path,
    keeps_mtime: bool,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = temporary_name(folder, &target);
    let written = fill_temporary(&temporary, fs::metadata(&target).ok().as_ref(), keeps_mtime, fill);
    let outcome = written.and_then(|()| fs::rename(&temporary, &target)).and_then(|()| File::open(folder)?.sync_all());
    if outcome.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

fn fill_temporary(
    temporary: &Path,
    old: Option<&Metadata>,
    keeps_mtime: bool,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let file = File::create(temporary)?;
    let mut writer = BufWriter::new(&file);
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    if let Some(old) = old {
        keep_attributes(&file, old)?;
        if keeps_mtime {
            file.set_modified(old.modified()?)?;
        }
    }
    file.sync_all()
}

/// The same name for the same file each time: what a killed run has left is written over by the next.
fn temporary_name(folder: &Path, target: &Path) -> PathBuf {
    let name = Sha256::digest(target.as_os_str().as_encoded_bytes());
    let name: String = name.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!(".scenescribe-{name}.tmp"))
}

fn keep_attributes(file: &File, old: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Only root may give files away; others go on as the owner of the new file.
        let _ = std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()));
    }
    file.set_permissions(old.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_permissions_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "old").unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions.clone()).unwrap();
        let mtime = fs::metadata(&path).unwrap().modified().unwrap();
        replace(&path, b"new", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions(), permissions);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), mtime);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let [real, link] = ["real.txt", "link.txt"].map(|name| folder.path().join(name));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, b"new", false).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "old").unwrap();
        let outcome = write(&path, false, |file| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(outcome.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
