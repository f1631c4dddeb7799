"""Execute the notebooks in place and keep their pictures.

    python notebooks/render.py [NOTEBOOK ...]

Pictures are PNG, which code-hosting sites show; drawing them needs Chrome or Chromium. The cells
are executed from top to bottom in a fresh kernel, in the folder of the notebook.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

try:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
except ModuleNotFoundError as error:
    raise SystemExit(
        f"this needs {error.name}; install it: pip install '.[notebooks]', or run make notebooks"
    ) from error

HERE = Path(__file__).parent
# Two threads on two busy cores wait for each other more than they compute.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
SHARP = "import plotly.io; plotly.io.renderers['png'].scale = 1.5"
QUIET = "--IPKernelApp.log_level=ERROR"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
TIMEOUT = 600


def executed(path: Path, *, renderer: str, folder: Path) -> nbformat.NotebookNode:
    """Return the notebook with fresh outputs, and without a trace of where and when.

    Args:
        path: the notebook; it is not changed.
        renderer: what plotly draws with: ``png`` needs a browser, ``json`` does not.
        folder: where its cells run.
    """
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        cell.metadata.clear()
    with tempfile.TemporaryDirectory() as private:
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name=KERNEL["name"],
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
            extra_arguments=[QUIET]
            + ([f"--IPKernelApp.exec_lines={SHARP}"] if renderer == "png" else []),
        )
        of_its_own = {"PLOTLY_RENDERER": renderer, "IPYTHONDIR": private}
        client.execute(env={**os.environ, **ENVIRONMENT, **of_its_own})
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python", "file_extension": ".py"}}
    )
    return notebook


def without_stderr(notebook: nbformat.NotebookNode) -> None:
    """Drop what was written to stderr: the browser that draws grumbles there, with its paths."""
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]


def main(arguments: list[str]) -> int:
    paths = [Path(argument) for argument in arguments] or sorted(HERE.glob("*.ipynb"))
    for path in paths:
        try:
            notebook = executed(path, renderer="png", folder=path.parent)
        except CellExecutionError as error:
            print(f"{path}: {error}", file=sys.stderr)
            if "Chrome" in str(error):
                print("install Chrome or Chromium, e.g. apt-get install chromium", file=sys.stderr)
            return 2
        without_stderr(notebook)
        draft = path.with_suffix(".draft")
        nbformat.write(notebook, draft)
        draft.replace(path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
