"""`paredown doctor`: versions and hardware, and self-checks of this machine."""

import typer
from rich.markup import escape
from rich.table import Table

from .common import Json, Storage, print_json, stderr, stdout


def doctor(storage: Storage = None, as_json: Json = False) -> None:
    """Show versions and hardware, and run self-checks (half a minute)."""
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
        for finding in examine(url):
            findings.append(finding)
            if as_json:
                continue
            mark = (
                "[yellow]-[/]"
                if finding.skipped
                else "[red]✗[/]"
                if finding.faults
                else "[green]✓[/]"
            )
            seconds = f"[dim]{finding.seconds:.1f} s[/]"
            note = f" [dim](skipped: {escape(finding.skipped)})[/]" if finding.skipped else ""
            console.print(
                f"  {mark} {finding.check.name}: {finding.check.title}  {seconds}{note}",
                highlight=False,
                soft_wrap=True,
            )
            for fault in finding.faults:
                console.print(f"      {escape(fault)}", highlight=False, soft_wrap=True)
            if finding.faults:
                console.print(
                    f"      [bold]{finding.check.advice}[/]", highlight=False, soft_wrap=True
                )
    failed = [finding for finding in findings if finding.faults]
    if as_json:
        print_json(
            {
                "environment": [
                    {"topic": fact.topic, "name": fact.name, "value": fact.value} for fact in facts
                ],
                "checks": [
                    {
                        "name": finding.check.name,
                        "passed": None if finding.skipped else not finding.faults,
                        "faults": list(finding.faults),
                        "skipped": finding.skipped,
                        "seconds": round(finding.seconds, 2),
                    }
                    for finding in findings
                ],
            }
        )
    elif not failed:
        console.print("No problems found.")
    if failed:
        raise typer.Exit(1)
