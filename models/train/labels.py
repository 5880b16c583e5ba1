"""Which AudioSet names a recording's own label or file name plainly says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import MappingProxyType

ESC10 = frozenset(
    {
        "dog", "rooster", "rain", "sea_waves", "crackling_fire", "crying_baby", "sneezing", "clock_tick", "helicopter",
        "chainsaw",
    }
)  # fmt: skip

ESC50_NAMES = MappingProxyType(
    {
        "airplane": ("Fixed-wing aircraft, airplane", "Aircraft"),
        "breathing": ("Breathing",),
        "brushing_teeth": ("Toothbrush",),
        "can_opening": ("Hiss",),
        "car_horn": ("Vehicle horn, car horn, honking",),
        "cat": ("Cat", "Meow"),
        "chainsaw": ("Chainsaw",),
        "chirping_birds": ("Bird", "Bird vocalization, bird call, bird song", "Chirp, tweet"),
        "church_bells": ("Church bell", "Bell"),
        "clapping": ("Clapping",),
        "clock_alarm": ("Alarm clock", "Alarm"),
        "clock_tick": ("Tick-tock", "Tick", "Clock"),
        "coughing": ("Cough",),
        "cow": ("Moo", "Cattle, bovinae"),
        "crackling_fire": ("Fire", "Crackle"),
        "crickets": ("Cricket",),
        "crow": ("Crow", "Caw"),
        "crying_baby": ("Baby cry, infant cry", "Crying, sobbing"),
        "dog": ("Dog", "Bark"),
        "door_wood_creaks": ("Creak",),
        "door_wood_knock": ("Knock", "Door"),
        "drinking_sipping": ("Gurgling",),
        "engine": ("Engine",),
        "fireworks": ("Fireworks",),
        "footsteps": ("Walk, footsteps",),
        "frog": ("Frog", "Croak"),
        "glass_breaking": ("Shatter", "Glass", "Breaking"),
        "hand_saw": ("Sawing",),
        "helicopter": ("Helicopter",),
        "hen": ("Chicken, rooster", "Cluck"),
        "insects": ("Insect",),
        "keyboard_typing": ("Computer keyboard", "Typing"),
        "laughing": ("Laughter",),
        "mouse_click": ("Clicking",),
        "pig": ("Pig", "Oink"),
        "pouring_water": ("Pour", "Liquid"),
        "rain": ("Rain",),
        "rooster": ("Crowing, cock-a-doodle-doo", "Chicken, rooster"),
        "sea_waves": ("Ocean", "Waves, surf"),
        "sheep": ("Sheep", "Bleat"),
        "siren": ("Siren", "Emergency vehicle"),
        "sneezing": ("Sneeze",),
        "snoring": ("Snoring",),
        "thunderstorm": ("Thunder", "Thunderstorm"),
        "toilet_flush": ("Toilet flush",),
        "train": ("Train", "Rail transport"),
        "vacuum_cleaner": ("Vacuum cleaner",),
        "washing_machine": ("Mechanisms",),
        "water_drops": ("Drip",),
        "wind": ("Wind",),
    }
)
"""ESC-50 class to the AudioSet names that certainly hold for it."""

ALSO = MappingProxyType(
    {
        "can_opening": ("Tearing", "Zipper (clothing)"),
        "clapping": ("Applause",),
        "door_wood_creaks": ("Squeak",),
        "engine": ("Idling", "Engine starting"),
        "fireworks": ("Firecracker",),
        "insects": ("Fly, housefly", "Bee, wasp, etc.", "Mosquito"),
        "mouse_click": ("Mouse", "Tick"),
        "rain": ("Raindrop", "Rain on surface"),
        "sheep": ("Goat",),
    }
)
"""Names that also count as an answer for a class when it is scored, but need not hold."""

UNSURE = frozenset({"can_opening", "drinking_sipping", "washing_machine"})
"""Classes whose AudioSet name says only part of the sound, or that it lacks: never used to raise a target."""

PATH_NAMES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), names)
    for pattern, names in (
        (r"donateacry", ("Baby cry, infant cry", "Crying, sobbing")),
        (r"/siren\.wav", ("Siren", "Emergency vehicle")),
        (r"break_?glass|glass_?break", ("Glass", "Shatter", "Breaking")),
        (r"/(dogs/dog|misc/dog\d?|bark\d?|mobs_mc_wolf_bark\.\d|samples/dog)\.", ("Dog", "Bark")),
        (r"/(alarm-clock-elapsed|alarm clock)\.", ("Alarm clock", "Alarm")),
        (r"poisoncough", ("Cough",)),
        (r"samples/snoring\.", ("Snoring",)),
        (r"/helicopter\.", ("Helicopter",)),
        (r"(misc/|civ\w*|wilhelm)scream", ("Screaming",)),
        (r"thunder\d?\.(ogg|wav)", ("Thunder",)),
        (r"phone-incoming-call|phone-ring", ("Telephone", "Ringtone")),
    )
)
"""File names that plainly say the sound, as they stand in the manifest's original_path."""


def names_of(label: str, original_path: str) -> tuple[str, ...]:
    """AudioSet display names that a recording's label, or else its file name, plainly says; often none."""
    if label:
        return () if label in UNSURE else ESC50_NAMES[label]
    return next((names for pattern, names in PATH_NAMES if pattern.search(original_path)), ())


def indices_of(names: Iterable[str], display_names: list[str]) -> list[int]:
    """Class numbers of display names; an unknown name is an error, not a silent gap."""
    return [display_names.index(name) for name in names]
