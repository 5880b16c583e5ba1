"""`models`: what is at hand, and how to get, make and test more."""

import importlib
from argparse import Namespace

MODULES = {None: "listing", "list": "listing", "import": "importing"}
"""Where an action's module is not called as the action."""


def main(arguments: Namespace) -> int:
    """Run the action; only its own module is loaded."""
    name = MODULES.get(arguments.action, arguments.action)
    module = importlib.import_module(f"monitor.commands.models.{name}")
    return int(module.main(arguments))
