//! Records as JSON, one object a line.

use std::io::{self, BufRead};

use super::journal::Scan;
use super::record::Record;

/// How every line of ours begins: what tells a torn line from another's text.
const BEGINNING: &[u8] = b"{\"path\":";

pub(crate) fn write(record: &Record, line: &mut Vec<u8>) {
    serde_json::to_writer(&mut *line, record).expect("records have a JSON form, memory takes every byte");
    line.push(b'\n');
}

/// Hands each record on, in order.
pub(crate) fn scan(mut file: impl BufRead, each: &mut dyn FnMut(Record)) -> io::Result<Scan> {
    let (mut len, mut number, mut line) = (0, 0, Vec::new());
    loop {
        line.clear();
        number += 1;
        let read = file.read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            return Ok(Scan::Whole { len });
        }
        match serde_json::from_slice(&line) {
            Ok(record) if line.ends_with(b"\n") => each(record),
            _ if is_torn(&line) && file.fill_buf()?.is_empty() => return Ok(Scan::Whole { len }),
            _ => return Ok(Scan::Foreign { line: number }),
        }
        len += read;
    }
}

/// A line of ours that stops early, or the zeros that some file systems leave where a write did not reach the disk.
pub(crate) fn is_torn(line: &[u8]) -> bool {
    let shared = line.len().min(BEGINNING.len());
    line[..shared] == BEGINNING[..shared] || line.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &[u8]) -> (Vec<Record>, Scan) {
        let mut records = Vec::new();
        let scan = scan(text, &mut |record| records.push(record)).unwrap();
        (records, scan)
    }

    fn lines() -> Vec<u8> {
        let mut text = Vec::new();
        write(&Record { path: "a \"b\"\n.jpg".into(), caption: Some("a dog".into()), ..Record::default() }, &mut text);
        write(&Record { path: "c.jpg".into(), error: Some("broken".into()), ..Record::default() }, &mut text);
        text
    }

    #[test]
    fn records_come_back_as_they_were_written() {
        let text = lines();
        let (records, scan) = scanned(&text);
        assert_eq!((records.len(), scan), (2, Scan::Whole { len: text.len() as u64 }));
        assert_eq!((records[0].path.as_str(), records[0].caption.as_deref()), ("a \"b\"\n.jpg", Some("a dog")));
        assert_eq!(records[1].error.as_deref(), Some("broken"));
    }

    #[test]
    fn a_last_line_torn_anywhere_is_left_out() {
        let text = lines();
        let first = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in first..text.len() {
            let (records, scan) = scanned(&text[..cut]);
            assert_eq!((records.len(), scan), (1, Scan::Whole { len: first as u64 }), "cut after {cut} bytes");
        }
        let (records, scan) = scanned(&[&text[..first], &[0; 40]].concat());
        assert_eq!((records.len(), scan), (1, Scan::Whole { len: first as u64 }));
    }

    #[test]
    fn what_is_not_ours_is_told_by_its_line() {
        let text = lines();
        for (foreign, line) in [(&b"dear diary"[..], 3), (b"{\"a\":1}\n", 3), (b"{\"path\":4}\n{\"path\":", 3)] {
            assert_eq!(scanned(&[&text, foreign].concat()).1, Scan::Foreign { line });
        }
    }
}
