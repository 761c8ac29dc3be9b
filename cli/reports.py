"""`roompulse reports`: Power BI reports, the real-time dashboard and Activator rules, rendered to files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.console import console, failed
from infra.settings.fabric_items import FabricItems, fabric_items
from local.run import read_declarations
from powerbi.folders import NO_DATABASE, Build, FolderError, write_items
from powerbi.layout import HEIGHT, WIDTH
from powerbi.mobile import WIDTH as PHONE
from powerbi.preview import nothing, page_html
from powerbi.preview import pictures as report_pictures
from powerbi.report import city_report, consolidated_report

reports = typer.Typer(no_args_is_help=True, help="Render the Power BI reports, the real-time dashboard and the Activator rules.")

Stack = Annotated[str, typer.Option(help="Stack whose cities are rendered: Pulumi.<stack>.yaml.")]


@reports.callback()
def _reports() -> None:
    """Render the Power BI reports, the real-time dashboard and the Activator rules."""


@reports.command()
def build(
    stack: Stack = "dev",
    output: Annotated[Path, typer.Option(help="Folder to write to; what a removed city left there is removed.")] = Path("output"),
    kusto: Annotated[
        str, typer.Option(metavar="URI", help="Address of the live store, for reports opened in Power BI Desktop.")
    ] = NO_DATABASE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Write a report per city, the one across cities, their model, the dashboard and the alerts. The same bytes each time.

    Open a report in Power BI Desktop by its .pbip file; `pulumi up` deploys the same items to Fabric.
    """
    items = rendered(stack)
    everything = [*items.shared, *(item for found in items.cities.values() for item in found)]
    try:
        done = write_items(everything, output, kusto, items.eventhouse)
    except FolderError as fault:
        raise failed("roompulse reports", str(fault)) from fault
    if as_json:
        answer = {**asdict(done), "refusals": [asdict(one) for one in items.refusals]}
        typer.echo(json.dumps(answer, indent=1, ensure_ascii=False))
        return
    _summary(done, items, output)
    if kusto == NO_DATABASE:
        hint = "\nNo report knows its database yet: for Desktop, give --kusto URI (`pulumi stack output liveStore`)."
        console.print(hint, soft_wrap=True)


def rendered(stack: str) -> FabricItems:
    """The items of a stack; raises DeclarationError with every fault of its declarations."""
    declared, rules = read_declarations(stack)
    return fabric_items(declared, rules, datetime.now(UTC).date().isoformat())


def _summary(done: Build, items: FabricItems, output: Path) -> None:
    table = Table("written", "files", "content", box=None, header_style="bold", pad_edge=False)
    table.columns[1].justify = "right"
    for entry in done.written:
        table.add_row(f"{output}/{entry.folder}", str(entry.files), entry.content_hash[:12])
    console.print(table)
    for name in done.removed:
        console.print(f"removed  {output}/{name}")
    by_rule: dict[tuple[str, str], list[str]] = {}
    for refusal in items.refusals:
        by_rule.setdefault((refusal.rule_id, refusal.reason), []).append(refusal.city)
    if by_rule:
        console.print("\nNot in Data Activator:")
    for (rule_id, reason), cities in by_rule.items():
        where = "every city" if len(cities) == len(items.cities) else ", ".join(cities)
        console.print(f"  {rule_id} ({where}): it {reason}.", soft_wrap=True)


@reports.command()
def preview(
    stack: Stack = "dev",
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("output/previews"),
    pictures: Annotated[bool, typer.Option(help="Also make PNG pictures, with Chromium.")] = True,
) -> None:
    """Draw every page of a city's report and of the one across cities, on a desktop and on a phone: layout, words and order.

    There are no rows here, so no figures: docs/stages/reports.md has pictures with some.
    """
    declared, _ = read_declarations(stack)
    browser = chromium() if pictures else None
    if pictures and browser is None:
        raise failed("roompulse reports", "there is no Chromium: install it, set ROOMPULSE_CHROMIUM, or give --no-pictures.")
    city = declared.cities[0]
    try:
        output.mkdir(parents=True, exist_ok=True)
        for report in (city_report(city.slug, city.name, city.time_zone), consolidated_report()):
            for title, drawn in report_pictures(report, nothing).items():
                desktop, phone = (WIDTH, HEIGHT), (PHONE, drawn.phone_height)
                for kind, body, size in (("", drawn.desktop, desktop), (" on a phone", drawn.phone, phone)):
                    path = output / f"{report.name} {title.lower()}{kind}.html"
                    path.write_text(page_html(body, f"{report.name} · {title}"), encoding="utf-8")
                    console.print(str(picture(browser, path, size) if browser else path))
    except (OSError, subprocess.SubprocessError) as fault:
        raise failed("roompulse reports", f"{fault}. Fix that, or choose another folder with --output.") from fault


def chromium() -> str | None:
    """Where Chromium is: ROOMPULSE_CHROMIUM, or what the system calls it."""
    return os.environ.get("ROOMPULSE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def picture(browser: str, page: Path, size: tuple[int, int]) -> Path:
    """The PNG of an HTML page, beside it; `size` is its width and height in pixels."""
    target = page.with_suffix(".png")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={size[0]},{size[1]}"]
    command = [browser, *options, f"--screenshot={target.resolve()}", page.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return target
