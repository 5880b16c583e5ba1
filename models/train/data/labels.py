"""ESC-50 read through AudioSet's names."""

from __future__ import annotations

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

HOME = (
    "brushing_teeth", "breathing", "can_opening", "car_horn", "cat", "chirping_birds", "clapping", "clock_alarm",
    "clock_tick", "coughing", "crackling_fire", "crying_baby", "dog", "door_wood_creaks", "door_wood_knock",
    "drinking_sipping", "engine", "fireworks", "footsteps", "glass_breaking", "keyboard_typing", "laughing",
    "mouse_click", "pouring_water", "rain", "siren", "sneezing", "snoring", "thunderstorm", "toilet_flush",
    "vacuum_cleaner", "washing_machine", "water_drops",
)  # fmt: skip
"""The 33 classes of ESC-50 that a home knows."""


def indices_of(names: Iterable[str], display_names: list[str]) -> list[int]:
    """Class numbers of display names; an unknown name is an error, not a silent gap."""
    return [display_names.index(name) for name in names]
