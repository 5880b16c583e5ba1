"""What `events`, `tui` and `discovery` take: the commands beside a running monitor."""

from monitor.commands.arguments.parser import Commands, Parser, add, add_config, count


def add_events(commands: Commands) -> None:
    """`events`."""
    events = add(
        commands,
        "events",
        "show what was heard, from the event log",
        "Shows the sounds in the event log, oldest first, also while the monitor runs. WHEN is a time like\n"
        "2026-05-17T08:30, a day, today, yesterday, or a while ago: 45s, 30m, 2h, 3d, 1w.",
        epilog="examples:\n"
        "  sound-monitor events                                         the newest\n"
        "  sound-monitor events --since yesterday --until today --label Dog\n"
        "  sound-monitor events --since 52w --format csv > year.csv\n"
        "  sound-monitor events --follow --format jsonl | jq .label     each start and each end, as it comes\n",
    )
    events.add_argument("--since", metavar="WHEN", help="sounds that began then or later")
    events.add_argument("--until", metavar="WHEN", help="sounds that began earlier")
    events.add_argument(
        "--label", metavar="SOUND", action="append", default=[], help="this sound; may be given several times"
    )
    events.add_argument(
        "--source", metavar="NAME", action="append", default=[], help="from this source; may be given several times"
    )
    events.add_argument(
        "--limit", metavar="N", type=count, help="only the newest N; default: 50, with --since or --until all"
    )
    events.add_argument("--follow", action="store_true", help="go on with each start and each end, until Ctrl-C")
    events.add_argument(
        "--format",
        choices=("table", "jsonl", "csv"),
        default="table",
        help="table and csv have a row a sound, jsonl a line for its start and one for its end; default: table",
    )
    add_config(events)


def add_tui(commands: Commands) -> None:
    """`tui`."""
    tui = add(
        commands,
        "tui",
        "watch a running monitor over MQTT",
        "Shows what a running monitor hears, from any machine that reaches its broker.",
    )
    add_config(tui)
    tui.add_argument("--host", help="the broker, instead of the configured one")
    tui.add_argument("--node", help="watch the monitor of this name; by default the first that answers")


def add_discovery(commands: Commands) -> None:
    """`discovery clear`."""
    discovery = add(
        commands,
        "discovery",
        "take a monitor back from Home Assistant",
        "A monitor with a broker announces itself to Home Assistant. This takes it back.",
    )
    actions = discovery.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    clear = add(
        actions,
        "clear",
        "remove the device and all that is retained",
        "Removes the monitor's device from Home Assistant, and everything that the broker retains of it. Stop the "
        "monitor first: it announces itself again whenever it connects.",
        epilog="examples:\n"
        "  sound-monitor discovery clear                    this box, at the configured broker\n"
        "  sound-monitor discovery clear --node old-name    a box that was renamed, or is gone\n",
    )
    add_config(clear)
    clear.add_argument("--node", help="the monitor of this name instead of the configured one")
