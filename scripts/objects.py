"""Words of captions for the 80 object classes of COCO, and which classes a caption names."""

import json
import re
from pathlib import Path
from typing import NamedTuple

TRACE = 0.3  # the least score with which a detector is taken to have a trace of a class

# Each class and the words people use for it; plurals are made by `plural`. Longer phrases win: a "hot dog" is no dog.
CLASSES: dict[str, str] = {
    "person": "person, man, woman, boy, girl, child, kid, baby, toddler, guy, lady, people, crowd, couple, player, rider, surfer, "
    "skier, snowboarder, skateboarder, skater, cyclist, biker, climber, hiker, runner, swimmer, dancer, worker, soldier, "
    "policeman, officer, adult, teenager, teen, bride, groom, friend, family, gentleman, male, female, batter, pitcher, "
    "catcher, umpire, chef, passenger, spectator, pedestrian, performer, singer, musician, cheerleader, wrestler, boxer, gymnast",
    "bicycle": "bicycle, bike, tricycle",
    "car": "car, suv, taxi, cab, minivan, race car",
    "motorcycle": "motorcycle, motorbike, dirt bike, moped, dirtbike",
    "airplane": "airplane, plane, jet, aircraft, airliner, biplane",
    "bus": "bus",
    "train": "train, locomotive, subway, tram, trolley",
    "truck": "truck, pickup, pickup truck, fire truck, tractor trailer, semi",
    "boat": "boat, canoe, kayak, ship, sailboat, raft, ferry, rowboat, yacht, gondola",
    "traffic light": "traffic light, stop light, stoplight, traffic signal, street light",
    "fire hydrant": "fire hydrant, hydrant",
    "stop sign": "stop sign",
    "parking meter": "parking meter, meter",
    "bench": "bench",
    "bird": "bird, duck, goose, seagull, pigeon, parrot, eagle, owl, swan, chicken, rooster, flamingo, ostrich",
    "cat": "cat, kitten, kitty",
    "dog": "dog, puppy, greyhound, poodle, collie, retriever, labrador, terrier, dalmatian, bulldog, shepherd",
    "horse": "horse, pony, foal",
    "sheep": "sheep, lamb, ram",
    "cow": "cow, cattle, bull, calf, ox",
    "elephant": "elephant",
    "bear": "bear, polar bear, cub",
    "zebra": "zebra",
    "giraffe": "giraffe",
    "backpack": "backpack, rucksack",
    "umbrella": "umbrella, parasol",
    "handbag": "handbag, purse",
    "tie": "tie, necktie, bow tie",
    "suitcase": "suitcase, luggage, briefcase",
    "frisbee": "frisbee, disc",
    "skis": "ski",
    "snowboard": "snowboard",
    "sports ball": "ball, soccer ball, tennis ball, basketball, football, baseball, volleyball",
    "kite": "kite",
    "baseball bat": "bat, baseball bat",
    "baseball glove": "baseball glove, mitt, glove",
    "skateboard": "skateboard",
    "surfboard": "surfboard, surf board, bodyboard",
    "tennis racket": "tennis racket, racket, racquet",
    "bottle": "bottle",
    "wine glass": "wine glass",
    "cup": "cup, mug",
    "fork": "fork",
    "knife": "knife",
    "spoon": "spoon",
    "bowl": "bowl",
    "banana": "banana",
    "apple": "apple",
    "sandwich": "sandwich, burger, hamburger",
    "orange": "oranges",
    "broccoli": "broccoli",
    "carrot": "carrot",
    "hot dog": "hot dog, hotdog",
    "pizza": "pizza",
    "donut": "donut, doughnut",
    "cake": "cake, cupcake",
    "chair": "chair, stool, armchair",
    "couch": "couch, sofa, loveseat",
    "potted plant": "potted plant, plants, houseplant",
    "bed": "bed, mattress",
    "dining table": "table, dining table, desk",
    "toilet": "toilet, urinal",
    "tv": "tv, television, monitor, screen",
    "laptop": "laptop, computer",
    "mouse": "mouse",
    "remote": "remote, remote control, controller",
    "keyboard": "keyboard",
    "cell phone": "cell phone, phone, cellphone, smartphone",
    "microwave": "microwave",
    "oven": "oven, stove",
    "toaster": "toaster",
    "sink": "sink",
    "refrigerator": "refrigerator, fridge, freezer",
    "book": "book",
    "clock": "clock",
    "vase": "vase",
    "scissors": "scissors",
    "teddy bear": "teddy bear, stuffed bear, stuffed animal, teddy",
    "hair drier": "hair drier, hair dryer",
    "toothbrush": "toothbrush",
}
IRREGULAR = {"man": "men", "woman": "women", "child": "children", "goose": "geese", "ox": "oxen", "knife": "knives", "calf": "calves"}
# Several without a plural form, or listed in the plural alone, since the singular means something else as well.
COLLECTIVE = ("people", "crowd", "couple", "family", "cattle", "luggage", "oranges", "plants")
# Phrases whose last word would be taken for another class.
NO_OBJECT = ("orange", "skiing", "hot dog stand", "table tennis", "tennis court", "bear costume", "train tracks", "train track",
             "tour bus stop", "bus stop", "bus station", "train station", "baseball field", "baseball game", "baseball player",
             "basketball player", "football player", "basketball game", "football game", "football field", "basketball court",
             "baseball uniform", "football uniform", "bike helmet", "ski lift", "ski slope", "boat dock", "bird bath", "dog house")  # fmt: skip
WORD = re.compile(r"[a-z]+")


def plural(phrase: str) -> str:
    """The phrase with its last word in the plural."""
    *before, last = phrase.split()
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2] not in "aeou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return " ".join([*before, last])


class Mention(NamedTuple):
    """A class that a phrase names, and whether it names several of it."""

    name: str
    is_plural: bool


def phrases() -> dict[tuple[str, ...], Mention | None]:
    """Every phrase as words, and what it names; None for phrases that name no object."""
    named: dict[tuple[str, ...], Mention | None] = {tuple(phrase.split()): None for phrase in NO_OBJECT}
    for name, listed in CLASSES.items():
        for phrase in listed.split(","):
            phrase = phrase.strip()
            several = phrase in COLLECTIVE
            named.setdefault(tuple(phrase.split()), Mention(name, several))
            named.setdefault(tuple(plural(phrase).split()), Mention(name, True))
    return named


PHRASES = phrases()
LONGEST = max(map(len, PHRASES))


def mentions(caption: str) -> set[Mention]:
    """What a caption names, its longest phrases first."""
    words, named, place = WORD.findall(caption.lower()), set(), 0
    while place < len(words):
        for size in range(min(LONGEST, len(words) - place), 0, -1):
            phrase = tuple(words[place : place + size])
            if phrase in PHRASES:
                named.add(PHRASES[phrase])
                place += size
                break
        else:
            place += 1
    return named - {None}


def classes_named(caption: str) -> set[str]:
    """Classes that a caption names, whether one or several of them."""
    return {mention.name for mention in mentions(caption)}


def read_objects(*paths: Path) -> dict[str, dict[str, float]]:
    """The best score of each class by file name, from files of detect.py."""
    rows = (json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines())
    return {row["file"]: {name: score for name, score, *_ in row["objects"]} for row in rows}
