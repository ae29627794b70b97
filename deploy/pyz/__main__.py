"""`python -m deploy.pyz`: makes the files of dist/."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from deploy.pyz.archive import contents_of, write_archive, write_tree
from deploy.pyz.wheel import build

ROOT = Path(__file__).parents[2]
_PLACE = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--out", type=_PLACE, default=Path("dist"), show_default=True)
@click.option("--tree", type=_PLACE, help="only this: a directory for PYTHONPATH instead of files")
def main(out: Path, tree: Path | None) -> None:
    """An sdist, a wheel and raftkv.pyz, for the Python and the platform that this runs on."""
    if tree is not None:
        with tempfile.TemporaryDirectory() as place:
            (wheel,) = build(ROOT, Path(place), "wheel")
            write_tree(contents_of(wheel), tree)
        return
    if out.exists():
        for old in (
            *out.glob("raftkv-*.tar.gz"),
            *out.glob("raftkv-*-any.whl"),
            *out.glob("*.pyz"),
        ):
            old.unlink()
    made = build(ROOT, out, "sdist", "wheel")
    (wheel,) = (path for path in made if path.suffix == ".whl")
    write_archive(contents_of(wheel), out / "raftkv.pyz")
    for path in (*made, out / "raftkv.pyz"):
        click.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
