//! The lists of a `tokenizer.json`, no longer than a vocabulary may be however long the file is.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::caption::Token;
use crate::limits::MAX_VOCABULARY;

/// Tokens in the order of the file, with their numbers: `{"piece": id}` or `[["piece", score]]`, where the place counts.
pub(crate) struct Entries(pub Vec<(Token, String)>);

/// A list of at most [`MAX_VOCABULARY`] elements.
pub(crate) struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(vec![])
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntriesVisitor).map(Self)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData)).map(Self)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Vec<(Token, String)>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of token ids or a list of tokens and scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = vec![];
        while let Some((piece, id)) = map.next_entry()? {
            check_len(entries.len())?;
            entries.push((id, piece));
        }
        Ok(entries)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = vec![];
        while let Some((piece, _score)) = list.next_element::<(String, f64)>()? {
            check_len(entries.len())?;
            entries.push((entries.len() as Token, piece));
        }
        Ok(entries)
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = vec![];
        while let Some(element) = list.next_element()? {
            check_len(elements.len())?;
            elements.push(element);
        }
        Ok(elements)
    }
}

fn check_len<E: Error>(len: usize) -> Result<(), E> {
    if len < MAX_VOCABULARY {
        return Ok(());
    }
    Err(E::custom(format_args!("more than {MAX_VOCABULARY} tokens")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_numbered_tokens() {
        for (json, expected) in [
            (r#"{"b": 7, "a": 2}"#, vec![(7, "b".to_string()), (2, "a".into())]),
            (r#"[["x", -0.5], ["y", -1]]"#, vec![(0, "x".into()), (1, "y".into())]),
        ] {
            let entries: Entries = serde_json::from_str(json).unwrap();
            assert_eq!(entries.0, expected);
        }
        for json in ["3", "\"a\"", r#"[["x"]]"#, r#"{"a": "b"}"#] {
            assert!(serde_json::from_str::<Entries>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn lists_longer_than_a_vocabulary_are_refused_where_they_become_so() {
        let scored = format!("[{}", "[\"x\", 0],".repeat(MAX_VOCABULARY + 1));
        let problem = serde_json::from_str::<Entries>(&scored).err().unwrap().to_string();
        assert!(problem.contains("more than 131072 tokens"), "{problem}");
        let list = format!("[{}", "0,".repeat(MAX_VOCABULARY + 1));
        assert!(serde_json::from_str::<List<u8>>(&list).err().unwrap().to_string().contains("more than"));
    }
}
