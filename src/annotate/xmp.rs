//! XMP (ISO 16684-1): `dc:description` in its `x-default` language, as the Metadata Working Group says, and our mark.
//!
//! An existing document is changed where it must be, byte by byte; all else stays as others wrote it. The mark is an
//! `rdf:Description` of its own in our namespace.

use std::ops::Range;

use roxmltree::{Document, Node};

use super::metadata::{Found, Mark, Problem};

const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const DC: &str = "http://purl.org/dc/elements/1.1/";
const XML: &str = "http://www.w3.org/XML/1998/namespace";
const OURS: &str = "urn:scenescribe:xmp:1.0/";

/// A document without anything in it. What surrounds the RDF is what XMP packets have (ISO 16684-1, 7.3).
const EMPTY: &str = "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n\
<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n \
</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"w\"?>\n";

/// What a document says of the picture.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    pub text: String,
    /// Caption and model's hash of our mark.
    pub mark: Option<(String, String)>,
}

/// Whose description a document holds.
pub(crate) fn find(text: &str) -> Result<Found, Problem> {
    let Description { text, mark } = describe(text)?;
    Ok(match mark {
        _ if text.is_empty() => Found::Nothing,
        Some((caption, model_hash)) if caption == text => Found::Ours { model_hash },
        _ => Found::Human,
    })
}

/// Reads the description and the mark.
pub(crate) fn describe(text: &str) -> Result<Description, Problem> {
    if is_empty(text) {
        return Ok(Description::default());
    }
    let document = parse(text)?;
    let rdf = rdf(&document)?;
    let text = description(rdf).map(|node| default_text(node).trim().into()).unwrap_or_default();
    let mark = ours(rdf, "Caption").map(|caption| (caption.trim().into(), ours(rdf, "ModelHash").unwrap_or_default()));
    Ok(Description { text, mark })
}

/// The document with our description and mark.
pub(crate) fn merge(text: &str, mark: &Mark) -> Result<String, Problem> {
    let text = if is_empty(text) { EMPTY } else { text };
    let document = parse(text)?;
    let rdf = rdf(&document)?;
    let about = about(rdf);
    let mut edits = remove_mark(text, rdf);
    let mut addition = our_mark(&about, mark);
    match description(rdf) {
        Some(node) => edits.push(replace_description(text, node, mark.caption)),
        None => addition = our_description(&about, mark.caption) + &addition,
    }
    edits.push(append(text, rdf, &addition));
    let merged = apply(text, edits);
    let is_right = describe(&merged).is_ok_and(|new| new.text == mark.caption.trim() && new.mark.is_some());
    if is_right { Ok(merged) } else { Err("its XMP is of a form that cannot be merged into".into()) }
}

fn is_empty(text: &str) -> bool {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0').is_empty()
}

fn parse(text: &str) -> Result<Document<'_>, Problem> {
    Document::parse(text).map_err(|error| format!("its XMP does not parse ({error}), repair or move it"))
}

fn rdf<'a>(document: &'a Document) -> Result<Node<'a, 'a>, Problem> {
    let found = document.descendants().find(|node| node.has_tag_name((RDF, "RDF")));
    found.ok_or_else(|| "it holds XML but no XMP, move it".into())
}

fn blocks<'a>(rdf: Node<'a, 'a>) -> impl Iterator<Item = Node<'a, 'a>> {
    rdf.children().filter(|node| node.has_tag_name((RDF, "Description")))
}

fn description<'a>(rdf: Node<'a, 'a>) -> Option<Node<'a, 'a>> {
    blocks(rdf).flat_map(|block| block.children()).find(|node| node.has_tag_name((DC, "description")))
}

/// The default language's text, or the first one's, or that of an element without languages.
fn default_text(description: Node) -> String {
    let items = || description.descendants().filter(|node| node.has_tag_name((RDF, "li")));
    text_of(default_item(description).or_else(|| items().next()).unwrap_or(description))
}

fn default_item<'a>(description: Node<'a, 'a>) -> Option<Node<'a, 'a>> {
    let is_default =
        |node: &Node| node.attribute((XML, "lang")).is_some_and(|lang| lang.eq_ignore_ascii_case("x-default"));
    description.descendants().find(|node| node.has_tag_name((RDF, "li")) && is_default(node))
}

fn text_of(node: Node) -> String {
    node.descendants().filter(|node| node.is_text()).filter_map(|node| node.text()).collect()
}

/// A property of our mark; programs that rewrite XMP turn elements into attributes and back.
fn ours(rdf: Node, name: &str) -> Option<String> {
    let as_attribute = || blocks(rdf).find_map(|block| block.attribute((OURS, name)).map(String::from));
    let properties = || blocks(rdf).flat_map(|block| block.children());
    as_attribute().or_else(|| properties().find(|node| node.has_tag_name((OURS, name))).map(text_of))
}

/// What the blocks say they are about, which must be the same in all.
fn about(rdf: Node) -> String {
    blocks(rdf).find_map(|block| block.attribute((RDF, "about"))).map(escape).unwrap_or_default()
}

type Edit = (Range<usize>, String);

/// Takes our old mark out, and a block that held nothing else with it.
fn remove_mark(text: &str, rdf: Node) -> Vec<Edit> {
    let mut edits = Vec::new();
    for block in blocks(rdf) {
        let is_ours = |node: &Node| node.tag_name().namespace() == Some(OURS);
        let (ours, others): (Vec<_>, Vec<_>) = block.children().filter(Node::is_element).partition(is_ours);
        let (our_attributes, other_attributes): (Vec<_>, Vec<_>) =
            block.attributes().filter(|a| a.namespace() != Some(RDF)).partition(|a| a.namespace() == Some(OURS));
        let holds_ours = !ours.is_empty() || !our_attributes.is_empty();
        if holds_ours && others.is_empty() && other_attributes.is_empty() {
            edits.push((with_space_before(text, block.range()), String::new()));
            continue;
        }
        let ranges = ours.iter().map(Node::range).chain(our_attributes.iter().map(|a| a.range()));
        edits.extend(ranges.map(|range| (with_space_before(text, range), String::new())));
    }
    edits
}

fn with_space_before(text: &str, range: Range<usize>) -> Range<usize> {
    text[..range.start].trim_end().len()..range.end
}

/// The least that makes `caption` the default text.
fn replace_description(text: &str, description: Node, caption: &str) -> Edit {
    let caption = escape(caption);
    if let Some(item) = default_item(description) {
        return replace_content(text, item, &caption);
    }
    let item = format!("<rdf:li xmlns:rdf=\"{RDF}\" xml:lang=\"x-default\">{caption}</rdf:li>");
    match description.children().find(|node| node.has_tag_name((RDF, "Alt"))) {
        Some(languages) => {
            let old = content(text, languages.range());
            replace_content(text, languages, &(item + old.map_or("", |range| &text[range])))
        }
        None => {
            let languages = format!("<rdf:Alt xmlns:rdf=\"{RDF}\">{item}</rdf:Alt>");
            replace_content(text, description, &languages)
        }
    }
}

fn replace_content(text: &str, node: Node, new: &str) -> Edit {
    let range = node.range();
    match content(text, range.clone()) {
        Some(content) => (content, new.into()),
        None => (range.end - 2..range.end, format!(">{new}</{}>", qualified_name(text, &range))),
    }
}

/// What is between the tags of the element at `range`; `None` for one without an end tag.
fn content(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let element = &text[range.clone()];
    let mut quote = None;
    let end_of_tag = element.bytes().position(|byte| {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
        quote.is_none() && byte == b'>'
    })?;
    let end_tag = element.rfind("</").filter(|_| !element[..end_of_tag].ends_with('/'))?;
    Some(range.start + end_of_tag + 1..range.start + end_tag)
}

fn qualified_name<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    let name = &text[range.start + 1..range.end];
    &name[..name.find(|c: char| c.is_whitespace() || matches!(c, '/' | '>')).unwrap_or(name.len())]
}

fn append(text: &str, rdf: Node, addition: &str) -> Edit {
    let range = rdf.range();
    match content(text, range.clone()) {
        Some(content) => {
            let end = text[..content.end].trim_end().len().max(content.start);
            (end..end, format!("\n{}", addition.trim_end()))
        }
        None => (range.end - 2..range.end, format!(">\n{addition} </{}>", qualified_name(text, &range))),
    }
}

fn our_description(about: &str, caption: &str) -> String {
    let caption = escape(caption);
    format!(
        "  <rdf:Description xmlns:rdf=\"{RDF}\" rdf:about=\"{about}\" xmlns:dc=\"{DC}\">\n   <dc:description><rdf:Alt>\
<rdf:li xml:lang=\"x-default\">{caption}</rdf:li></rdf:Alt></dc:description>\n  </rdf:Description>\n"
    )
}

fn our_mark(about: &str, mark: &Mark) -> String {
    let [caption, model, model_hash] = [mark.caption, mark.model, mark.model_hash].map(escape);
    let (confidence, version) = (mark.confidence, env!("CARGO_PKG_VERSION"));
    format!(
        "  <rdf:Description xmlns:rdf=\"{RDF}\" rdf:about=\"{about}\" xmlns:scenescribe=\"{OURS}\">\n   \
<scenescribe:CreatorTool>scenescribe {version}</scenescribe:CreatorTool>\n   \
<scenescribe:Caption>{caption}</scenescribe:Caption>\n   \
<scenescribe:Confidence>{confidence}</scenescribe:Confidence>\n   \
<scenescribe:Model>{model}</scenescribe:Model>\n   \
<scenescribe:ModelHash>{model_hash}</scenescribe:ModelHash>\n  </rdf:Description>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let (mut applied, mut done) = (String::with_capacity(text.len() + 1024), 0);
    for (range, new) in edits {
        applied.push_str(&text[done.min(range.start)..range.start]);
        applied.push_str(&new);
        done = range.end.max(done);
    }
    applied + &text[done..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { caption: "a dog & a <cat>", confidence: 0.5, model: "tiny", model_hash: "abc" };

    /// As Adobe's programs write it: rating and subject of others, no description.
    const ADOBE: &str = r#"<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="uuid:1"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
   xmp:Rating="3">
   <dc:subject><rdf:Bag><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"#;

    fn with_description(description: &str) -> String {
        ADOBE.replace("   <dc:subject>", &format!("   {description}\n   <dc:subject>"))
    }

    fn ours() -> Result<Found, Problem> {
        Ok(Found::Ours { model_hash: "abc".into() })
    }

    #[test]
    fn what_others_wrote_stays_byte_for_byte() {
        let merged = merge(ADOBE, &MARK).unwrap();
        assert_eq!(find(&merged), ours());
        let (before, after) = ADOBE.split_at(ADOBE.find("\n </rdf:RDF>").unwrap());
        assert!(merged.starts_with(before) && merged.ends_with(after), "{merged}");
        assert!(merged[before.len()..].contains("rdf:about=\"uuid:1\""));
    }

    #[test]
    fn a_refreshed_caption_leaves_one_mark() {
        let mut text = merge("", &MARK).unwrap();
        let first = text.clone();
        for caption in ["another", MARK.caption] {
            text = merge(&text, &Mark { caption, ..MARK }).unwrap();
            assert_eq!(text.matches("<scenescribe:Caption>").count(), 1, "{text}");
        }
        assert_eq!(text.len(), first.len());
        assert_eq!(find(&text), ours());
    }

    #[test]
    fn descriptions_of_people_are_seen_in_every_form() {
        let alt = |items: &str| format!("<dc:description><rdf:Alt>{items}</rdf:Alt></dc:description>");
        for (description, found) in [
            (alt("<rdf:li xml:lang=\"x-default\">Grandma</rdf:li>"), Found::Human),
            (alt("<rdf:li xml:lang=\"no\">Bestemor</rdf:li>"), Found::Human),
            (alt("<rdf:li xml:lang=\"x-default\"> </rdf:li>"), Found::Nothing),
            (alt("<rdf:li xml:lang=\"x-default\"/>"), Found::Nothing),
            ("<dc:description>Grandma</dc:description>".into(), Found::Human),
            ("<dc:description/>".into(), Found::Nothing),
            (String::new(), Found::Nothing),
        ] {
            let text = with_description(&description);
            assert_eq!(find(&text), Ok(found), "{description}");
            let merged = merge(&text, &MARK).unwrap();
            assert_eq!(find(&merged), ours(), "{merged}");
            assert!(!description.contains("Bestemor") || merged.contains("Bestemor"), "{merged}");
            assert!(merged.contains("holiday") && merged.contains("xmp:Rating=\"3\""));
        }
    }

    #[test]
    fn an_edited_caption_is_a_persons() {
        let merged = merge(ADOBE, &MARK).unwrap();
        let edited = merged.replace("x-default\">a dog", "x-default\">my dog");
        assert_ne!(edited, merged);
        assert_eq!(find(&edited), Ok(Found::Human));
    }

    #[test]
    fn a_mark_that_was_rewritten_as_attributes_is_known() {
        let attributes = format!(
            "<rdf:Description rdf:about=\"\" xmlns:s=\"{OURS}\" s:Caption=\"a dog &amp; a &lt;cat&gt;\" s:ModelHash=\"abc\"/>"
        );
        let alt = "<dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">a dog &amp; a &lt;cat&gt;</rdf:li></rdf:Alt></dc:description>";
        let text = with_description(alt).replace(" </rdf:RDF>", &format!("{attributes}</rdf:RDF>"));
        assert_eq!(find(&text), ours());
        let merged = merge(&text, &Mark { caption: "new", ..MARK }).unwrap();
        assert!(!merged.contains("s:Caption"), "{merged}");
    }

    #[test]
    fn what_cannot_be_merged_into_is_refused() {
        for (text, problem) in [("<a>", "parse"), ("<a/>", "no XMP"), ("hello", "parse")] {
            assert!(merge(text, &MARK).unwrap_err().contains(problem));
        }
        let empty = "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"/>";
        assert_eq!(find(&merge(empty, &MARK).unwrap()), ours());
    }
}
