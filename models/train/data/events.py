"""The events head: the sounds that a home or a city monitor cares for, and what in the data speaks for each."""

# ruff: noqa: E501 - a table reads better with whole lines

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One class of the events head."""

    name: str
    """Unlike every AudioSet name: both stand in one list of labels."""
    surely: tuple[str, ...]
    """AudioSet names that hold wherever the event is heard; empty where AudioSet has none."""
    also: tuple[str, ...] = ()
    """AudioSet names that speak for the event when the teacher hears them."""
    esc50: str = ""
    """The ESC-50 class that is this event."""
    files: str = ""
    """Pattern of file names that plainly say the event."""


EVENTS: tuple[Event, ...] = (
    Event("Smoke alarm", ("Smoke detector, smoke alarm", "Alarm"), ("Fire alarm",)),
    Event("Emergency siren", ("Siren", "Emergency vehicle"),
          ("Police car (siren)", "Ambulance (siren)", "Fire engine, fire truck (siren)", "Civil defense siren"),
          "siren", r"/siren\."),
    Event("Alarm clock ringing", ("Alarm clock", "Alarm"), ("Buzzer",), "clock_alarm",
          r"alarm-clock-elapsed|alarm clock\."),
    Event("Alarm sounding", ("Alarm",), ("Buzzer", "Car alarm", "Alarm clock", "Fire alarm"), "",
          r"/(alarm\d?|ralarm|cyanalarm|alarm synth|alarma|timealarm|default_alarm|missile_alarm(_\d)?)\.(wav|ogg|mp3)"),
    Event("Doorbell ringing", ("Doorbell",), ("Ding-dong",), "", r"homedecor_doorbell\."),
    Event("Knocking on a door", ("Knock", "Door"), ("Tap",), "door_wood_knock"),
    Event("Glass breaking", ("Shatter", "Glass", "Breaking"), ("Smash, crash",), "glass_breaking",
          r"break_?glass|glass(-brick)?[-_]?break|breaking_glass|/(crystallo-)?shatter\."),
    Event("Baby crying", ("Baby cry, infant cry", "Crying, sobbing"), ("Whimper",), "crying_baby", r"donateacry|/babycry\."),
    Event("Dog barking", ("Dog", "Bark"), ("Yip", "Howl", "Bow-wow", "Growling"), "dog",
          r"/(dogs?/dog|misc/dog\d?|dog\d?\.|bark\d?\.|mobs_mc_wolf_bark)"),
    Event("Cat meowing", ("Cat", "Meow"), ("Purr", "Hiss", "Caterwaul"), "cat", r"/(cat|(cat)?meow)\.|mobs_mc_cat"),
    Event("Coughing", ("Cough",), ("Throat clearing",), "coughing", r"poisoncough|/cough(ing)?(-\w+)?\."),
    Event("Sneezing", ("Sneeze",), (), "sneezing", r"/sneeze(-\w+)?\."),
    Event("Snoring sleeper", ("Snoring",), ("Snort",), "snoring", r"/snor(e|ing)\."),
    Event("Laughing", ("Laughter",), ("Giggle", "Chuckle, chortle", "Belly laugh", "Baby laughter", "Snicker"), "laughing",
          r"/(vl_witch_laugh|witches-laugh|dwarf-laugh|(evil|crazy)?_?laugh(-\w+|\d+)?\.|giggle\.|lachen\.)"),
    Event("Person screaming", ("Screaming",), ("Shout", "Yell", "Children shouting"), "",
          r"(misc/|civ\w*|wilhelm|female|male|_|/w|kamikaze-|/falling)scream|/scream(ing)?[-\d]*\.|/scream-\w+\.|Scream_Sound"),
    Event("Clapping hands", ("Clapping",), ("Applause", "Hands"), "clapping", r"/appl(au|o)se\d*\."),
    Event("Crowd cheering", ("Cheering",), ("Crowd", "Applause"), "", r"cheeringloop|crowd_cheering|/crowd(cheer|\d+)?\.|/cheer(ing)?\."),
    Event("Footsteps", ("Walk, footsteps",), ("Run",), "footsteps",
          r"footstep|/(nyx_|pyr_)?steps?_?(concrete|dirt|grass|snow|metal|leather|lth|echo|cloth|stone|sand|wood|steel)\w*\.|man-steps|/foot\d\."),
    Event("Breathing heavily", ("Breathing",), ("Gasp", "Pant"), "breathing"),
    Event("Drinking", (), ("Gurgling", "Chewing, mastication"), "drinking_sipping", r"/(drink|gulp)\."),
    Event("Brushing teeth", ("Toothbrush",), (), "brushing_teeth"),
    Event("People talking", ("Speech",), ("Conversation", "Narration, monologue", "Child speech, kid speaking"), "",
          r"asterisk/sounds/(?!.*(beep|tone|silence))|Snoring_Dataset_@16000/|^/recordings/\d_|/voices/\w+/"),
    Event("Music playing", ("Music",), ("Musical instrument", "Song"), "", r"/music/|/bgm/|_music\."),
    Event("Telephone ringing", ("Telephone",), ("Telephone bell ringing", "Ringtone"), "",
          r"phone-incoming-call|phone-ring|/phone\.|ringtones/"),
    Event("Beeping", ("Beep, bleep",), ("Busy signal", "Dial tone"), "", r"/beep[-_\d]*\."),
    Event("Bell ringing", ("Bell",), ("Jingle bell", "Bicycle bell", "Chime", "Tubular bells"), "",
          r"/(bell|perc_bell\d?|bell_roll|pnpbell|mcl_bells_bell_stroke|ships_bell|bell_[ls]|typewriterbell|chair_bell_\w+|elec_bell|sleigh_bell_adafruit)\."),
    Event("Chimes", ("Chime",), ("Wind chime", "Bell"), "", r"/(chime(\d|in|out|gliss)?|wind chime|.*wind-chime.*|elec_chime)\."),
    Event("Church bells", ("Church bell", "Bell"), ("Change ringing (campanology)",), "church_bells", r"/(belltoll|towerclock)\."),
    Event("Typing on a keyboard", ("Computer keyboard", "Typing"), ("Typewriter",), "keyboard_typing", r"/buckle/wav/|/typing\."),
    Event("Mouse clicking", ("Clicking",), ("Mouse",), "mouse_click", r"/mouse_click\."),
    Event("Clock ticking", ("Tick-tock", "Tick", "Clock"), (), "clock_tick", r"/ticking\."),
    Event("Washing machine running", (), ("Mechanical fan", "Sewing machine", "Mechanisms"), "washing_machine"),
    Event("Vacuum cleaning", ("Vacuum cleaner",), (), "vacuum_cleaner"),
    Event("Flushing a toilet", ("Toilet flush",), (), "toilet_flush"),
    Event("Dripping water", ("Drip",), (), "water_drops", r"/(amb_|cave)?(waterdr[io]p|drip)(_\d+)?\."),
    Event("Pouring water", ("Pour", "Liquid"), ("Fill (with liquid)", "Trickle, dribble"), "pouring_water"),
    Event("Water running", ("Water",), ("Water tap, faucet", "Sink (filling or washing)", "Bathtub (filling or washing)",
          "Stream"), "", r"/(waterfontain|(tile-)?waterfall(\d|_\w+)?|water\d*|waterrunning|stream)\."),
    Event("Door creaking", ("Creak",), ("Squeak",), "door_wood_creaks", r"/(door)?creaky?(-\d)?\."),
    Event("Door opening or closing", ("Door",), ("Slam", "Sliding door", "Cupboard open or close"), "",
          r"door\w*[-_](close|open)|/(sfx_|\d+_|w|car)?door(slam|close|open|s)?\d?\."),
    Event("Can opening", (), ("Hiss", "Tearing"), "can_opening"),
    Event("Dishes clattering", ("Dishes, pots, and pans",), ("Cutlery, silverware", "Chink, clink")),
    Event("Frying or boiling", ("Frying (food)",), ("Sizzle", "Boiling")),
    Event("Hair dryer running", ("Hair dryer",)),
    Event("Chainsaw running", ("Chainsaw",), (), "chainsaw"),
    Event("Hand saw", ("Sawing",), (), "hand_saw", r"/(sawing_\d+|con_saw_\d+|benchsaw_\d+|saw)\."),
    Event("Hammering", ("Hammer",), (), "", r"hammer(ing)?(_\d+)?\."),
    Event("Drilling", ("Drill",), ("Power tool", "Jackhammer")),
    Event("Engine running", ("Engine",), ("Idling", "Engine starting", "Accelerating, revving, vroom", "Medium engine (mid frequency)"),
          "engine", r"/(car_?engine|engine|engine_(large|small|inside|start)|engine-(car|vehicle|idle|prop|start)|(206|evo7|impreza2002|porsche)_engine|generic-piston-engine)\."),
    Event("Vehicle passing", ("Vehicle",), ("Car passing by", "Motor vehicle (road)", "Traffic noise, roadway noise")),
    Event("Motorcycle passing", ("Motorcycle",), (), "", r"/motorcyclepassing\."),
    Event("Car horn", ("Vehicle horn, car horn, honking",), ("Toot", "Air horn, truck horn"), "car_horn",
          r"car-?horn\d?|honkhonk"),
    Event("Train passing", ("Train", "Rail transport"), ("Train horn", "Train whistle", "Railroad car, train wagon"), "train",
          r"/(RailTrain\d|train|steamLocomotive|.*steam-train.*|.*__train)\.|train_whistle"),
    Event("Airplane flying", ("Fixed-wing aircraft, airplane", "Aircraft"), ("Jet engine", "Propeller, airscrew"), "airplane",
          r"/(ParklandPlane\d|jet|aircraft_flying|airplane_jetEngine|jet_engine_\w+|generic-jet-engine|turbojet_fan|comet-jet|planelow|plane1|biplane|jetplane)\.(wav|ogg)"),
    Event("Helicopter flying", ("Helicopter", "Aircraft"), (), "helicopter", r"/helicopter(_engine_\w+)?\."),
    Event("Gunshot", ("Gunshot, gunfire",), ("Machine gun", "Fusillade", "Cap gun", "Artillery fire"), "",
          r"gunshots?\.|/(gun-?\d?|shotgun\d?|minigun\d?|machinegun|dspistol|dsshotgn|bullet-(pistol|rifle|shotgun|chaingun)\S*)\."),
    Event("Explosion blast", ("Explosion",), ("Boom", "Eruption"), "", r"/(final )?explosion[-\w ]*\.|tnt_explode"),
    Event("Fireworks display", ("Fireworks",), ("Firecracker",), "fireworks", r"/(fireworks|firecracker)\."),
    Event("Thunderclap", ("Thunder", "Thunderstorm"), (), "thunderstorm", r"thunder([-_\d]*|_faint|_loud|_moderate|_short)\.(ogg|wav|flac|mp3)"),
    Event("Raining", ("Rain",), ("Raindrop", "Rain on surface"), "rain", r"/(storm|md)?rain(\d|_loop|-windshield)?\.(ogg|wav)"),
    Event("Wind blowing", ("Wind",), ("Wind noise (microphone)", "Rustling leaves"), "wind", r"/(blow|cave_?|storm|waste|hollow)?wind(\d|_loop|gust_\d+|_ambient|-8khz)?\.(ogg|wav)"),
    Event("Sea waves", ("Ocean", "Waves, surf"), (), "sea_waves", r"/(waves|ocean|sea)\d?\.(ogg|wav)"),
    Event("Fire crackling", ("Fire", "Crackle"), (), "crackling_fire",
          r"/(fire_fire\.\d|fire_large|fire_small|campfire|smallfire|Fire[123]|fire_loop|open_fire(_loop)?|burnfire)\."),
    Event("Crickets chirping", ("Cricket",), ("Insect",), "crickets", r"/(night)?crickets?\d*\."),
    Event("Insects buzzing", ("Insect",), ("Fly, housefly", "Bee, wasp, etc.", "Mosquito"), "insects", r"/(bee|mosq)\."),
    Event("Birds singing", ("Bird", "Bird vocalization, bird call, bird song", "Chirp, tweet"), (), "chirping_birds",
          r"/(birdchirp\d|birds?\d?(_\d+)?|blackbird|bird_twitter_loop|seagulls)\.(ogg|wav|flac)"),
    Event("Crow calling", ("Crow", "Caw"), (), "crow", r"/(misc_)?crow\d?\."),
    Event("Rooster crowing", ("Crowing, cock-a-doodle-doo", "Chicken, rooster"), (), "rooster", r"/rooster\."),
    Event("Hen clucking", ("Chicken, rooster", "Cluck"), (), "hen", r"/chicken(_standing\d|_select\d)?\."),
    Event("Cow mooing", ("Moo", "Cattle, bovinae"), (), "cow", r"/(cow|cattle_\d+|mobs_mc_cow\w*)\."),
    Event("Pig oinking", ("Pig", "Oink"), (), "pig", r"/(pig|mobs_pig)\."),
    Event("Sheep bleating", ("Sheep", "Bleat"), ("Goat",), "sheep", r"/(sheep(_\d+)?|sheepfield|mobs_sheep|baa\d?)\."),
    Event("Frog croaking", ("Frog", "Croak"), (), "frog", r"/frogs?\d?\."),
)  # fmt: skip

EVENT_NAMES = tuple(event.name for event in EVENTS)

OF_ESC50 = {event.esc50: number for number, event in enumerate(EVENTS) if event.esc50}
"""Event number of each ESC-50 class."""

_FILES = tuple((re.compile(event.files, re.IGNORECASE), number) for number, event in enumerate(EVENTS) if event.files)


def event_of(label: str, original_path: str) -> int:
    """Number of the event that a recording's ESC-50 label, or else its file name, plainly says; -1 where none does."""
    if label:
        return OF_ESC50[label]
    return next((number for pattern, number in _FILES if pattern.search("/" + original_path)), -1)
