"""``tpumlir bmrt``: the emulator's libraries."""

from __future__ import annotations

import click


@click.group()
def bmrt() -> None:
    """SOPHGO's runtime and the emulator of its chips (CModel)."""


@bmrt.command("fetch-cmodel")
@click.option("--force", is_flag=True, help="Fetch the libraries again where they are there already.")
def fetch_cmodel(force: bool) -> None:
    """Download the emulator (about 300 MB, 35 MB of it kept) into the user's cache.

    The libraries are SOPHGO's, out of its own package on PyPI. TPUMLIR_CMODEL names another folder for them.
    """
    from tpumlir_bmrt.fetch import fetch
    from tpumlir_sophgo.cmodel import cache_folder

    folder = cache_folder()
    fetched = fetch(folder, force)
    click.echo(f"{'fetched to' if fetched else 'already in'} {folder}")
