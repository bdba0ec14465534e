//! A text file beside a photo: the caption in the first line, our mark in the second.

use sha2::{Digest, Sha256};

use super::metadata::{Found, Mark, Problem};

const MARK: &str = "-- scenescribe, model ";

/// Whose text it is; a caption that was edited no longer fits its mark.
pub(crate) fn find(text: &str) -> Result<Found, Problem> {
    if text.trim().is_empty() {
        return Ok(Found::Nothing);
    }
    let ours = || {
        let (caption, mark) = text.strip_suffix('\n')?.split_once('\n')?;
        let (model, caption_hash) = mark.strip_prefix(MARK)?.rsplit_once(", caption ")?;
        let (_, model_hash) = model.rsplit_once(' ')?;
        (caption_hash == short_hash(caption)).then(|| Found::Ours { model_hash: model_hash.into() })
    };
    Ok(ours().unwrap_or(Found::Human))
}

/// The new text; nothing of the old is kept.
pub(crate) fn replace(_old: &str, mark: &Mark) -> Result<String, Problem> {
    let Mark { caption, model, model_hash, .. } = mark;
    let caption = caption.replace('\n', " ");
    Ok(format!("{caption}\n{MARK}{model} {model_hash}, caption {}\n", short_hash(&caption)))
}

fn short_hash(caption: &str) -> String {
    Sha256::digest(caption).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_text_is_a_persons() {
        let mark = Mark { caption: "a dog", confidence: 0.5, model: "my model", model_hash: "abc" };
        let text = replace("", &mark).unwrap();
        assert_eq!(text.lines().next(), Some("a dog"));
        assert_eq!(find(&text), Ok(Found::Ours { model_hash: "abc".into() }));
        assert_eq!(find(" \n"), Ok(Found::Nothing));
        for edited in [text.replace("dog", "cat"), "a dog\n".into(), text.clone() + "more\n"] {
            assert_eq!(find(&edited), Ok(Found::Human), "{edited}");
        }
    }
}
