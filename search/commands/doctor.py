"""`paredown doctor`: what this machine is, and whether it does what Paredown needs."""

import typer
from rich.markup import escape
from rich.table import Table

from .common import Json, Storage, print_json, stderr, stdout


def doctor(storage: Storage = None, as_json: Json = False) -> None:
    """Show what this machine is, and check what some machines get wrong; takes half a minute."""
    from ..doctor.environment import environment
    from ..doctor.examine import examine
    from ..study.storage import default_storage

    url = default_storage() if storage is None else storage
    facts, console = environment(url), stdout()
    if not as_json:
        topic = ""
        table = Table.grid(padding=(0, 2))
        for fact in facts:
            table.add_row(
                "" if fact.topic == topic else f"[bold]{fact.topic}[/]",
                fact.name,
                escape(fact.value),
            )
            topic = fact.topic
        console.print(table, highlight=False)
        console.print("[bold]checks[/]", highlight=False)
    findings = []
    with stderr().status("checking", spinner="dots"):
        for one in examine(url):
            findings.append(one)
            if as_json:
                continue
            mark = "[yellow]-[/]" if one.skipped else "[red]✗[/]" if one.faults else "[green]✓[/]"
            seconds = f"[dim]{one.seconds:.1f} s[/]"
            note = f" [dim](skipped: {escape(one.skipped)})[/]" if one.skipped else ""
            console.print(
                f"  {mark} {one.check.name}: {one.check.title}  {seconds}{note}",
                highlight=False,
                soft_wrap=True,
            )
            for fault in one.faults:
                console.print(f"      {escape(fault)}", highlight=False, soft_wrap=True)
            if one.faults:
                console.print(f"      [bold]{one.check.advice}[/]", highlight=False, soft_wrap=True)
    failed = [one for one in findings if one.faults]
    if as_json:
        print_json(
            {
                "environment": [
                    {"topic": one.topic, "name": one.name, "value": one.value} for one in facts
                ],
                "checks": [
                    {
                        "name": one.check.name,
                        "passed": None if one.skipped else not one.faults,
                        "faults": list(one.faults),
                        "skipped": one.skipped,
                        "seconds": round(one.seconds, 2),
                    }
                    for one in findings
                ],
            }
        )
    elif not failed:
        console.print("Nothing is wrong that is known of.")
    if failed:
        raise typer.Exit(1)
