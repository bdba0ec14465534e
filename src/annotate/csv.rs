//! Records as comma-separated values (RFC 4180), with a header.

use std::io::{self, BufRead};

use super::journal::Scan;
use super::record::{Alternative, Record, Whose};

pub(crate) const HEADER: &[u8] =
    b"path,caption,confidence,cut,alternatives,similar_to,error,xmp,txt,embedded,size,mtime_ms,\
model,model_hash,time_ms,path_hex\n";
const COLUMNS: usize = 16;

pub(crate) fn write(record: &Record, row: &mut Vec<u8>) {
    let number = |value: Option<String>| value.unwrap_or_default();
    let fields: [String; COLUMNS] = [
        record.path.clone(),
        record.caption.clone().unwrap_or_default(),
        number(record.confidence.map(|value| value.to_string())),
        record.cut.to_string(),
        alternatives(&record.alternatives),
        record.similar_to.clone().unwrap_or_default(),
        record.error.clone().unwrap_or_default(),
        whose(record.xmp).into(),
        whose(record.txt).into(),
        whose(record.embedded).into(),
        number(record.size.map(|value| value.to_string())),
        number(record.mtime_ms.map(|value| value.to_string())),
        record.model.clone(),
        record.model_hash.clone(),
        record.time_ms.to_string(),
        record.path_hex.clone().unwrap_or_default(),
    ];
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            row.push(b',');
        }
        write_field(field, row);
    }
    row.push(b'\n');
}

/// Hands each row on, in order: what tells which photo it is and what has become of it.
pub(crate) fn scan(mut file: impl BufRead, each: &mut dyn FnMut(Record)) -> io::Result<Scan> {
    let (mut len, mut number, mut row) = (0, 0, Vec::new());
    loop {
        row.clear();
        number += 1;
        let is_whole = read_row(&mut file, &mut row)?;
        if row.is_empty() {
            return Ok(Scan::Whole { len });
        }
        let is_known = match number {
            1 => HEADER.starts_with(&row),
            _ => is_whole && parse(&row).map(&mut *each).is_some(),
        };
        if !is_whole && (is_known || number > 1) || !is_known && is_zero(&row) {
            return Ok(Scan::Whole { len });
        }
        if !is_known {
            return Ok(Scan::Foreign { line: number });
        }
        len += row.len() as u64;
    }
}

fn is_zero(row: &[u8]) -> bool {
    row.iter().all(|byte| *byte == 0)
}

fn alternatives(all: &[Alternative]) -> String {
    let one = |alternative: &Alternative| format!("{} ({})", alternative.caption, alternative.confidence);
    all.iter().map(one).collect::<Vec<_>>().join(" | ")
}

fn whose(whose: Option<Whose>) -> &'static str {
    match whose {
        Some(Whose::Ours) => "ours",
        Some(Whose::Human) => "human",
        None => "",
    }
}

fn write_field(field: &str, row: &mut Vec<u8>) {
    if !field.contains(['"', ',', '\n', '\r']) {
        row.extend(field.as_bytes());
        return;
    }
    row.push(b'"');
    row.extend(field.replace('"', "\"\"").as_bytes());
    row.push(b'"');
}

/// Reads up to the line feed that ends a row, and tells whether there was one.
fn read_row(file: &mut impl BufRead, row: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let start = row.len();
        if file.read_until(b'\n', row)? == 0 {
            return Ok(false);
        }
        let has_closed_quotes = row.iter().filter(|byte| **byte == b'"').count() % 2 == 0;
        if has_closed_quotes && row.len() > start && row.ends_with(b"\n") {
            return Ok(true);
        }
    }
}

fn parse(row: &[u8]) -> Option<Record> {
    let row = std::str::from_utf8(row).ok()?;
    let fields = split(row.strip_suffix('\n')?);
    let [path, caption, _, _, _, similar_to, error, xmp, txt, embedded, size, mtime_ms, model, model_hash, _, path_hex] =
        <[String; COLUMNS]>::try_from(fields).ok()?;
    let text = |field: String| Some(field).filter(|field| !field.is_empty());
    let whose = |field: &str| match field {
        "ours" => Some(Whose::Ours),
        "human" => Some(Whose::Human),
        _ => None,
    };
    Some(Record {
        path,
        path_hex: text(path_hex),
        size: size.parse().ok(),
        mtime_ms: mtime_ms.parse().ok(),
        caption: text(caption),
        similar_to: text(similar_to),
        error: text(error),
        xmp: whose(&xmp),
        txt: whose(&txt),
        embedded: whose(&embedded),
        model,
        model_hash,
        ..Record::default()
    })
}

fn split(row: &str) -> Vec<String> {
    let (mut fields, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut characters = row.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<u8> {
        let mut text = HEADER.to_vec();
        let record = Record {
            path: "a, \"b\"\n\".jpg".into(),
            size: Some(7),
            mtime_ms: Some(-3),
            caption: Some("a dog".into()),
            xmp: Some(Whose::Human),
            model_hash: "abc".into(),
            ..Record::default()
        };
        write(&record, &mut text);
        write(&Record { path: "c.jpg".into(), error: Some("broken, twice".into()), ..Record::default() }, &mut text);
        text
    }

    fn scanned(text: &[u8]) -> (Vec<Record>, Scan) {
        let mut records = Vec::new();
        let scan = scan(text, &mut |record| records.push(record)).unwrap();
        (records, scan)
    }

    #[test]
    fn rows_come_back_as_they_were_written() {
        let text = rows();
        let (records, scan) = scanned(&text);
        assert_eq!((records.len(), scan), (2, Scan::Whole { len: text.len() as u64 }));
        assert_eq!((records[0].path.as_str(), records[0].size), ("a, \"b\"\n\".jpg", Some(7)));
        assert_eq!((records[0].mtime_ms, records[0].xmp), (Some(-3), Some(Whose::Human)));
        assert_eq!(records[1].error.as_deref(), Some("broken, twice"));
    }

    #[test]
    fn a_last_row_torn_anywhere_is_left_out() {
        let text = rows();
        let end = text.len() - 1;
        let second = text[..end].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for cut in HEADER.len()..text.len() {
            let (records, scan) = scanned(&text[..cut]);
            let expected = if cut < second { (0, HEADER.len()) } else { (1, second) };
            assert_eq!(
                (records.len(), scan),
                (expected.0, Scan::Whole { len: expected.1 as u64 }),
                "after {cut} bytes"
            );
        }
        for cut in 0..HEADER.len() {
            assert_eq!(scanned(&text[..cut]).1, Scan::Whole { len: 0 }, "after {cut} bytes");
        }
    }

    #[test]
    fn what_is_not_ours_is_told_by_its_line() {
        assert_eq!(scanned(b"name,price\n").1, Scan::Foreign { line: 1 });
        assert_eq!(scanned(b"dear diary").1, Scan::Foreign { line: 1 });
        assert_eq!(scanned(&[HEADER, b"a,b\n"].concat()).1, Scan::Foreign { line: 2 });
    }
}
