"""Turns findings to save into an input file for aria2: an address, and under which name to keep it."""

from __future__ import annotations

import re

import pandas as pd

from policy_engine.core.urls.file_names import archive_folder, file_ending

_UNFIT = re.compile(r"[^\x21-\x7e]|[\"<>\\^`{|}]")
HEAD = """\
# Files to save, the most urgent first: aria2c --input-file=THIS --continue=true --auto-file-renaming=false
# Run it in the folder of your archive. Each file is kept as service/task/output/number, which --archived recognises.
"""


def entries(findings: pd.DataFrame) -> list[str]:
    """
    One entry per finding, in its order; empty where there is no address.

    Names are made from ids by `path_part`, so nothing an export says can leave the folder or become an option.
    """
    columns = (findings[name].astype(object).tolist() for name in ("url", "asset_id", "task_id"))
    return [
        _entry(url, str(asset), str(task)) if isinstance(url, str) else ""
        for url, asset, task in zip(*columns, strict=True)
    ]


def _entry(url: str, asset_id: str, task_id: str) -> str:
    *folder, ordinal = archive_folder(asset_id, task_id)
    # A blank would start another address or, at the start of a line, an option.
    address = _UNFIT.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace")), url)
    if not address.lower().startswith(("http://", "https://")):
        return ""
    return f"{address}\n  dir={'/'.join(folder)}\n  out={ordinal}{file_ending(url)}\n"
