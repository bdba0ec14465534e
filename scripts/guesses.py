# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime", "pillow", "tqdm"]
# ///
"""Measure how often captions say what the model cannot know: a person's gender, and objects that nobody else names.

Gender. A caption's words are male (man, boys, ...), female (woman, girls, ...) or neutral for a person (person,
child, player, ...: the other words of objects.py's class `person`). Pronouns (his, her, ...) count where the caption
names a person and no animal, which they could mean. Age is not judged: boy for man is no error here. By its human
captions a photo is of one kind:

- nobody: none of them names a person;
- open: people are named, but at most one caption tells a gender;
- male, female: two or more use words of this gender, none of the other;
- both: two or more captions each use words of both;
- disagreed: both genders are used otherwise.

Guessed is the share of captions with a gendered word on photos that are disagreed or open; wrong, the share with a word of
the other gender on photos that are male or female; neutral, the share that names people in neutral words alone, on
photos with people.

Objects, as CHAIR counts them (Rohrbach et al. 2018) but by the words of objects.py, each class once a caption:
CHAIR_i is the share of the named classes, CHAIR_s the share of the captions with a named class, that no human caption of
the photo names. With `--objects` (`detect.py`) both are given once more for classes of which the detector sees no
trace either (no score of 0.3).

For comparison each human caption is judged by the other human captions of its photo.

    guesses.py models/default --data DIR --objects runs/objects.jsonl
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))

from captions import add_arguments, caption
from objects import TRACE, classes_named, plural, read_objects
from photos import Photo, read_photos
from vocabulary import split_words

MALE = ("man", "boy", "guy", "gentleman", "groom", "groomsman", "male", "father", "dad", "daddy", "son", "brother", "husband",
        "grandfather", "uncle", "policeman", "fireman", "fisherman", "businessman", "workman", "cowboy")  # fmt: skip
FEMALE = ("woman", "girl", "lady", "bride", "bridesmaid", "female", "mother", "mom", "mommy", "mum", "daughter", "sister", "wife",
          "grandmother", "aunt", "policewoman", "businesswoman", "cowgirl", "waitress", "actress", "ballerina")  # fmt: skip
PRONOUNS = {"male": {"he", "him", "his", "himself"}, "female": {"she", "her", "hers", "herself"}}
ANIMALS = {"bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"}
KINDS = ("nobody", "open", "male", "female", "both", "disagreed")
UNKNOWABLE = ("disagreed", "open")


def plural_word(word: str) -> str:
    """The plural, of compounds with man as well."""
    return word[:-2] + "en" if word.endswith("man") else plural(word)


def with_plurals(words: tuple[str, ...]) -> frozenset[str]:
    """Words in both numbers."""
    return frozenset(words) | {plural_word(word) for word in words}


GENDERED = {"male": with_plurals(MALE), "female": with_plurals(FEMALE)}


def genders(text: str) -> set[str]:
    """Genders that a caption's words tell; a possessive counts as its noun."""
    words = {word.removesuffix("'s") for word in split_words(text)}
    told = {gender for gender, nouns in GENDERED.items() if words & nouns}
    named = classes_named(text)
    if (told or "person" in named) and not named & ANIMALS:
        told |= {gender for gender, pronouns in PRONOUNS.items() if words & pronouns}
    return told


def names_person(text: str) -> bool:
    """Whether a caption names people, by any word."""
    return "person" in classes_named(text) or bool(genders(text))


def kind_of(captions: list[str]) -> str:
    """What kind of photo its human captions make it, one of `KINDS`."""
    told = [genders(text) for text in captions]
    male, female = (sum(gender in each for each in told) for gender in GENDERED)
    if not any(map(names_person, captions)):
        return "nobody"
    if sum(map(bool, told)) <= 1:
        return "open"
    if not male or not female:
        return "male" if male else "female"
    return "both" if sum(len(each) == 2 for each in told) >= 2 else "disagreed"


def judge(text: str, humans: list[str], scores: dict[str, float] | None) -> dict:
    """One caption against human captions of its photo, and against a detector's best score by class."""
    named, known = classes_named(text), set().union(*map(classes_named, humans))
    row = {"caption": text, "kind": kind_of(humans), "genders": sorted(genders(text)), "person": names_person(text)}
    row |= {"named": sorted(named), "unnamed": sorted(named - known)}
    if scores is not None:
        row["unseen"] = sorted(name for name in named - known if scores.get(name, 0.0) < TRACE)
    return row


def percent(rows: list[dict], holds: Callable[[dict], bool]) -> str:
    """Share of the rows for which something holds."""
    return f"{100 * sum(map(holds, rows)) / len(rows):.1f} %" if rows else "none"


def report_gender(rows: list[dict]) -> None:
    """Print the shares of guessed, wrong and neutral words."""
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
    unknowable = [row for kind in UNKNOWABLE for row in kinds[kind]]
    agreed = [row for kind in GENDERED for row in kinds[kind]]
    gendered = [row for row in agreed if row["genders"]]
    people = [row for row in rows if row["kind"] != "nobody"]
    print("  by the human captions: " + ", ".join(f"{kind} {len(some)}" for kind, some in kinds.items()))
    by_kind = ", ".join(f"{kind} {percent(kinds[kind], is_gendered)}" for kind in (*UNKNOWABLE, "nobody"))
    print(f"  guessed: {percent(unknowable, is_gendered)} of {len(unknowable)} ({by_kind})")
    by_kind = ", ".join(f"{kind} {percent(kinds[kind], is_wrong)}" for kind in GENDERED)
    print(f"  wrong: {percent(agreed, is_wrong)} of {len(agreed)} ({by_kind}); "
          f"{percent(gendered, is_wrong)} of the {len(gendered)} gendered among them")
    print(f"  neutral: {percent(people, is_neutral)} of {len(people)}")


def is_gendered(row: dict) -> bool:
    """Whether the caption tells a gender."""
    return bool(row["genders"])


def is_wrong(row: dict) -> bool:
    """Whether the caption tells a gender that the photo, male or female, is not of."""
    return bool(set(row["genders"]) - {row["kind"]})


def is_neutral(row: dict) -> bool:
    """Whether the caption names people without telling a gender."""
    return row["person"] and not row["genders"]


def report_objects(rows: list[dict], key: str, meaning: str) -> None:
    """Print CHAIR_i and CHAIR_s by the lists `key`, with and without people, and what is most often named so."""
    wrong = Counter(name for row in rows for name in row[key])
    named = Counter(name for row in rows for name in row["named"])
    things, wrong_things = named.total() - named["person"], wrong.total() - wrong["person"]
    print(f"  {meaning}: CHAIR_i {100 * wrong.total() / max(named.total(), 1):.1f} % of {named.total()}, "
          f"CHAIR_s {percent(rows, lambda row: bool(row[key]))}; without people {100 * wrong_things / max(things, 1):.1f} % of {things}, "
          f"{percent(rows, lambda row: any(name != 'person' for name in row[key]))}")
    print("    most often: " + ", ".join(f"{name} {count} of {named[name]}" for name, count in wrong.most_common(8)))


def report(title: str, rows: list[dict]) -> None:
    """Print everything on one set of captions."""
    print(f"{title}, {len(rows)} captions")
    report_gender(rows)
    report_objects(rows, "unnamed", "objects no human caption names")
    if all("unseen" in row for row in rows):
        report_objects(rows, "unseen", "and the detector sees no trace of")


def human_rows(photos: list[Photo], scores: Callable[[Photo], dict[str, float] | None]) -> list[dict]:
    """Each human caption judged by the photo's other ones."""
    rows = []
    for photo in photos:
        for place, text in enumerate(photo.captions):
            others = [*photo.captions[:place], *photo.captions[place + 1 :]]
            rows.append(judge(text, others, scores(photo)))
    return rows


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--split", default="val")
    parser.add_argument("--objects", type=Path, help="JSON lines from detect.py, of these photos")
    parser.add_argument("--json", type=Path, help="write captions and how they were judged here")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    photos = read_photos(options.data, options.split)
    objects = read_objects(options.objects) if options.objects else None
    missing = [photo.path.name for photo in photos if objects is not None and photo.path.name not in objects]
    if missing:
        raise SystemExit(f"{options.objects} lacks {len(missing)} photos, for example {missing[0]}: run detect.py first")

    def scores(photo: Photo) -> dict[str, float] | None:
        return None if objects is None else objects[photo.path.name]

    texts = tqdm(caption(options, [photo.path for photo in photos]), total=len(photos), desc="captions")
    rows = [{"file": photo.path.name, **judge(text, list(photo.captions), scores(photo))} for photo, text in zip(photos, texts)]
    report(f"{options.model}, {options.precision}, beam {options.beam}, {options.engine}, {options.split}", rows)
    report("people, each by the other captions of the photo", human_rows(photos, scores))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
