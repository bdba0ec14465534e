//! XMP (ISO 16684-1): `dc:description` in its `x-default` language, as the Metadata Working Group says, and our mark.
//!
//! An existing document is changed where it must be, byte by byte; all else stays as others wrote it. The mark is an
//! `rdf:Description` of its own in our namespace.

use std::ops::Range;

use roxmltree::{Attribute, Document, Node};

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
    /// What its descriptions say, those that say something; a sound document has one at most.
    pub texts: Vec<String>,
    /// Caption and model's hash of our mark.
    pub mark: Option<(String, String)>,
}

/// Whose description a document holds.
pub(crate) fn find(text: &str) -> Result<Found, Problem> {
    let Description { texts, mark } = describe(text)?;
    Ok(match mark {
        _ if texts.is_empty() => Found::Nothing,
        Some((caption, model_hash)) if texts.iter().all(|text| *text == caption) => Found::Ours { model_hash },
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
    let texts = descriptions(rdf).into_iter().map(|place| place.text().trim().into());
    let texts = texts.filter(|text: &String| !text.is_empty()).collect();
    let mark = ours(rdf, "Caption").map(|caption| (caption.trim().into(), ours(rdf, "ModelHash").unwrap_or_default()));
    Ok(Description { texts, mark })
}

/// The document with our description and mark.
pub(crate) fn merge(text: &str, mark: &Mark) -> Result<String, Problem> {
    let text = if is_empty(text) { EMPTY } else { text };
    let document = parse(text)?;
    let rdf = rdf(&document)?;
    let about = about(rdf);
    let mut edits = remove_mark(text, rdf);
    let mut addition = our_mark(&about, mark);
    match descriptions(rdf)[..] {
        [] => addition = our_description(&about, mark.caption) + &addition,
        [Place::Element(node)] => edits.push(replace_description(text, node, mark.caption)?),
        [Place::Attribute(attribute)] => {
            edits.push((with_space_before(text, attribute.range()), String::new()));
            addition = our_description(&about, mark.caption) + &addition;
        }
        _ => return Err("its XMP holds several descriptions, remove all but one".into()),
    }
    edits.push(append(text, rdf, &addition));
    let merged = apply(text, edits);
    let is_right = describe(&merged).is_ok_and(|new| new.texts == [mark.caption.trim()] && new.mark.is_some());
    if is_right { Ok(merged) } else { Err(unknown_form()) }
}

fn unknown_form() -> Problem {
    "its XMP is of a form that cannot be merged into without loss, edit or move it".into()
}

fn is_empty(text: &str) -> bool {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0').is_empty()
}

fn parse(text: &str) -> Result<Document<'_>, Problem> {
    let document =
        Document::parse(text).map_err(|error| format!("its XMP does not parse ({error}), repair or move it"))?;
    match encoding(text) {
        Some(other) if !other.eq_ignore_ascii_case("UTF-8") => {
            Err(format!("its XMP says that it is in {other}, convert it to UTF-8 or move it"))
        }
        _ => Ok(document),
    }
}

/// What the XML declaration calls the encoding. The text came as UTF-8, which bytes of others may happen to be as well.
fn encoding(text: &str) -> Option<&str> {
    let declaration = text.trim_start_matches('\u{feff}').strip_prefix("<?xml")?.split_once("?>")?.0;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    value.split(['"', '\'']).nth(1)
}

fn rdf<'a>(document: &'a Document) -> Result<Node<'a, 'a>, Problem> {
    let mut found = document.descendants().filter(|node| node.has_tag_name((RDF, "RDF")));
    match (found.next(), found.next()) {
        (Some(rdf), None) => Ok(rdf),
        (None, _) => Err("it holds XML but no XMP, move it".into()),
        _ => Err(unknown_form()),
    }
}

/// `rdf:Description`s, and elements of a type that stand for one.
fn blocks<'a>(rdf: Node<'a, 'a>) -> impl Iterator<Item = Node<'a, 'a>> {
    rdf.children().filter(Node::is_element)
}

/// Where a description stands.
enum Place<'a> {
    Element(Node<'a, 'a>),
    /// RDF's short form, which XMP has for plain text only.
    Attribute(Attribute<'a, 'a>),
}

impl Place<'_> {
    /// The default language's text, or everything that there is.
    fn text(&self) -> String {
        match self {
            Self::Element(node) => text_of(default_item(*node).unwrap_or(*node)),
            Self::Attribute(attribute) => attribute.value().into(),
        }
    }
}

fn descriptions<'a>(rdf: Node<'a, 'a>) -> Vec<Place<'a>> {
    let in_block = |block: Node<'a, 'a>| {
        let is_description = |a: &Attribute| (a.namespace(), a.name()) == (Some(DC), "description");
        let attributes = block.attributes().filter(is_description).map(Place::Attribute);
        let elements = block.children().filter(|node| node.has_tag_name((DC, "description"))).map(Place::Element);
        attributes.chain(elements).collect::<Vec<_>>()
    };
    blocks(rdf).flat_map(in_block).collect()
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

/// The least that makes `caption` the default text. Whatever stands there besides text in languages is not touched.
fn replace_description(text: &str, description: Node, caption: &str) -> Result<Edit, Problem> {
    let caption = escape(caption);
    let item = format!("<rdf:li xmlns:rdf=\"{RDF}\" xml:lang=\"x-default\">{caption}</rdf:li>");
    let children: Vec<_> = description.children().filter(Node::is_element).collect();
    match children[..] {
        [] if description.attributes().len() == 0 => {
            let languages = format!("<rdf:Alt xmlns:rdf=\"{RDF}\">{item}</rdf:Alt>");
            Ok(replace_content(text, description, &languages))
        }
        [languages] if is_plain_alternatives(languages) => Ok(match default_item(description) {
            Some(item) => replace_content(text, item, &caption),
            None => {
                let old = content(text, languages.range());
                replace_content(text, languages, &(item + old.map_or("", |range| &text[range])))
            }
        }),
        _ => Err(unknown_form()),
    }
}

/// Whether it holds texts in languages, and nothing about these.
fn is_plain_alternatives(node: Node) -> bool {
    let is_item = |node: Node| node.has_tag_name((RDF, "li")) && !node.children().any(|child| child.is_element());
    let is_language = |a: Attribute| (a.namespace(), a.name()) == (Some(XML), "lang");
    node.has_tag_name((RDF, "Alt"))
        && node.children().filter(Node::is_element).all(|node| is_item(node) && node.attributes().all(is_language))
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

    /// `text`, which must hold a person's description, with ours in its place.
    fn overwritten(text: &str) -> String {
        assert_eq!(find(text), Ok(Found::Human), "{text}");
        let merged = merge(text, &MARK).unwrap();
        assert_eq!(find(&merged), ours(), "{merged}");
        assert!(merged.contains("holiday") && !merged.contains("Grandma"), "{merged}");
        merged
    }

    fn alternatives(items: &str) -> String {
        with_description(&format!("<dc:description><rdf:Alt>{items}</rdf:Alt></dc:description>"))
    }

    #[test]
    fn text_is_read_in_every_way_that_xml_has_to_write_it() {
        for text in [
            "<![CDATA[Grandma & <I>]]></rdf:li",
            "Grandma &amp; I</rdf:li",
            "&#71;randma</rdf:li",
            "Gr&#x61;ndma<!-- </rdf:li> --></rdf:li",
        ] {
            overwritten(&alternatives(&format!("<rdf:li xml:lang='x-default'>{text}>")));
        }
        let cdata = alternatives("<rdf:li xml:lang='x-default'><![CDATA[a dog & a <cat>]]></rdf:li>");
        let marked = cdata.replace(" </rdf:RDF>", &(our_mark("", &MARK) + "</rdf:RDF>"));
        assert_eq!(find(&marked), ours(), "the same words, written otherwise");
    }

    #[test]
    fn a_description_that_is_an_attribute_is_seen_and_replaced() {
        let text = ADOBE.replace("xmp:Rating=\"3\"", "xmp:Rating=\"3\" dc:description='Grandma &gt; all'");
        let merged = overwritten(&text);
        assert_eq!(merged.matches("description").count(), 2, "start and end of one element: {merged}");
        assert!(merged.contains("xmp:Rating=\"3\""));
    }

    #[test]
    fn other_languages_stay() {
        let items = |default: &str| {
            format!("<rdf:li xml:lang='no'>Bestemor</rdf:li>{default}<rdf:li xml:lang=\"de-CH\">Oma</rdf:li>")
        };
        let merged = overwritten(&alternatives(&items("<rdf:li xml:lang='X-Default'>Grandma</rdf:li>")));
        assert_eq!(merged.matches("<rdf:li xml:lang").count(), 3, "{merged}");
        assert!(merged.contains(">Bestemor<") && merged.contains(">Oma<"));
        let merged = overwritten(&alternatives(&items("")));
        assert!(merged.contains(">a dog &amp; a &lt;cat&gt;</rdf:li><rdf:li xml:lang='no'>Bestemor"), "{merged}");
    }

    #[test]
    fn a_description_is_found_in_any_block() {
        let block = "<rdf:Description rdf:about='uuid:1' xmlns:e='http://purl.org/dc/elements/1.1/'><e:description>Grandma</e:description></rdf:Description>";
        let second = ADOBE.replace(" </rdf:RDF>", &format!(" {block}\n </rdf:RDF>"));
        assert_eq!(overwritten(&second).matches(OURS).count(), 1);
        let typed = second.replace("rdf:Description rdf:about='uuid:1'", "t:Photo xmlns:t='urn:t' rdf:about='uuid:1'");
        overwritten(&typed.replace("</e:description></rdf:Description>", "</e:description></t:Photo>"));
    }

    #[test]
    fn what_surrounds_the_xmp_stays() {
        let padding = format!("\n{}\n", " ".repeat(99)).repeat(20);
        let head = "\u{feff}<?xml version='1.0' encoding='utf-8'?>\n<?xpacket begin='\u{feff}' id='W5M0MpCehiHzreSzNTczkc9d'?>\n";
        for end in ["<?xpacket end=\"w\"?>", "<?xpacket end='r'?>\n"] {
            let text = format!("{head}{}{padding}{end}", with_description("<dc:description>Grandma</dc:description>"));
            let merged = overwritten(&text);
            assert!(merged.starts_with(head) && merged.ends_with(&format!("</x:xmpmeta>\n{padding}{end}")), "{merged}");
        }
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        let bag = "<dc:description><rdf:Bag><rdf:li>Grandma</rdf:li><rdf:li>and I</rdf:li></rdf:Bag></dc:description>";
        let qualified =
            "<dc:description rdf:parseType='Resource'><rdf:value>Grandma</rdf:value><rdf:type/></dc:description>";
        let in_item = alternatives(
            "<rdf:li xml:lang='x-default'><rdf:Description><rdf:value>Grandma</rdf:value></rdf:Description></rdf:li>",
        );
        let twice = "<dc:description>Grandma</dc:description><dc:description>Bestemor</dc:description>";
        let two_rdfs = ADOBE
            .replace("</x:xmpmeta>", "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/></x:xmpmeta>");
        for (text, problem) in [
            (with_description(bag), "without loss"),
            (with_description(qualified), "without loss"),
            (in_item, "without loss"),
            (with_description("<dc:description xml:lang='no'>Bestemor</dc:description>"), "without loss"),
            (with_description(twice), "several descriptions"),
            (two_rdfs, "without loss"),
        ] {
            assert!(!matches!(find(&text), Ok(Found::Nothing | Found::Ours { .. })), "{text}");
            assert!(merge(&text, &MARK).unwrap_err().contains(problem), "{text}");
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        for encoding in ["ISO-8859-1", "windows-1252", "UTF-16", "us-ascii"] {
            for declaration in [
                format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>"),
                format!("<?xml version='1.0'  encoding = '{encoding}' ?>"),
            ] {
                let text = format!("{declaration}\n{ADOBE}");
                assert!(find(&text).unwrap_err().contains(encoding), "{text}");
                assert!(merge(&text, &MARK).unwrap_err().contains(encoding), "{text}");
            }
        }
        let entity = format!(
            "<!DOCTYPE x [<!ENTITY who 'Grandma'>]>\n{}",
            with_description("<dc:description>&who;</dc:description>")
        );
        assert!(merge(&entity, &MARK).unwrap_err().contains("does not parse"));
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
        for (text, problem) in [("<a>", "parse"), ("<a/>", "no XMP"), ("hello", "parse"), ("\u{feff}", "parse")] {
            assert!(merge(text, &MARK).unwrap_err().contains(problem));
        }
        let empty = "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"/>";
        assert_eq!(find(&merge(empty, &MARK).unwrap()), ours());
    }
}
