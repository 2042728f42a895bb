"""Hostile JSON and JSON Lines."""

from __future__ import annotations

import json

from tools.torture.hostile.cases import DONE, INPUT, NOTHING, TASK, export, ids, repeated, task

export("json-deep-document", "x.json", repeated(b"[", 100_000), INPUT, "too deep")
export("json-deep-objects", "x.json", repeated(b'{"a":', 100_000), INPUT, "too deep")
export("json-deep-line", "x.jsonl", repeated(b"[", 100_000, TASK, b"\n"), DONE, "nested_too_deep", ids("t"))
export(
    "json-deep-in-a-field", "x.jsonl",
    lambda _: TASK + TASK[:-2] + b',"input":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    DONE, "nested_too_deep", ids("t"),
)  # fmt: skip
export("json-long-string", "x.json", repeated(b"x", 48 << 20, b'[{"task_id":"t","input":"', b'"}]'), (DONE, INPUT))
export("json-long-string-alone", "x.json", repeated(b"x", 48 << 20, b'["', b'"]'), INPUT)
export("json-long-id", "x.json", repeated(b"x", 4 << 20, b'[{"task_id":"', b'","model":"kling"}]'), DONE)
export("json-long-id-not-cut", "x.jsonl", repeated(b"x", 4 << 20, b'{"task_id":"'), INPUT)
export("json-duplicate-keys", "x.jsonl", lambda _: b'{"task_id":"a",' + TASK[1:], DONE, "", ids("t"))
export("json-many-duplicate-keys", "x.json", repeated(b'"task_id":"t",', 1 << 20, b"[{", b'"model":"kling"}]'), DONE)
export("json-nan", "x.jsonl", lambda _: b'{"seed":NaN,' + TASK[1:], DONE, "", ids("t"))
export("json-infinity", "x.jsonl", lambda _: b'{"seed":[Infinity,-Infinity,1e999],' + TASK[1:], DONE, "", ids("t"))
export("json-huge-integer", "x.jsonl", repeated(b"9", 4 << 20, b'{"seed":', b"," + TASK[1:]), DONE, "", ids("t"))
export("json-huge-integer-id", "x.jsonl", repeated(b"9", 1 << 20, TASK + b'{"task_id":', b"}\n"), DONE)
export("json-huge-integer-usage", "x.jsonl", lambda _: task(meta={"usage": {"consume": 10**300}}), DONE)
export("json-long-fraction", "x.jsonl", repeated(b"0", 4 << 20, b'{"seed":0.', b"1," + TASK[1:]), DONE, "", ids("t"))
export("json-lone-surrogates", "x.jsonl", lambda _: b'{"seed":"\\ud800",' + TASK[1:], DONE, "", ids("t"))
export("json-surrogate-in-id", "x.jsonl", lambda _: b'{"task_id":"\\udc00","model":"kling"}\n', DONE)
export("json-null-in-id", "x.jsonl", lambda _: b'{"task_id":"a\\u0000b","model":"kling"}\n', DONE)
export("json-null-byte", "x.jsonl", lambda _: TASK + b'{"task_id":"a\0b"}\n', DONE)
export("json-concatenated", "x.json", lambda _: TASK.strip() * 3, DONE, "", ids("t"))
export("json-truncated", "x.json", lambda _: b"[" + TASK + b"," + TASK[:30], INPUT, "not-json")
export("json-truncated-line", "x.jsonl", lambda _: TASK + TASK[:30], DONE, "not_json", ids("t"))
export(
    "json-values-over-several-lines", "x.jsonl",
    lambda _: TASK + TASK.replace(b'"t"', b'\n"a"')
    + TASK.replace(b'"t"', b'"b"').strip() + TASK.replace(b'"t"', b'"c"'),
    DONE, "2 quarantined", ids("b", "c", "t"),
)  # fmt: skip
export("json-list-of-lists", "x.json", repeated(b"[],", 1_200_000, b"[", b"[]]"), NOTHING)
export("json-list-of-objects", "x.json", repeated(b"{},", 1_200_000, b"[", b"{}]"), INPUT)
export("json-lines-of-zeros", "x.jsonl", repeated(b"0\n", 1_200_000, TASK), INPUT)
export("json-list-of-zeros", "x.json", repeated(b"0,", 1_200_000, b"[", b"0]"), INPUT)
export(
    "json-many-keys",
    "x.json",
    lambda _: b"[{" + b"".join(b'"k%d":0,' % n for n in range(500_000)) + TASK[1:] + b"]",
    DONE,
)
export(
    "json-many-keys-of-maps",
    "x.json",
    lambda _: b"{" + b"".join(b'"k%d":{},' % n for n in range(500_000)) + TASK[1:],
    DONE,
)
export("json-pages-in-pages", "x.json", repeated(b'{"total":1,"data":[', 1_000, b"", b"]}" * 1_000), (INPUT, NOTHING))
export("json-many-pages", "x.jsonl", repeated(b'{"total":0,"page":1,"data":[]}\n', 200_000, TASK), DONE)
export("json-same-task", "x.jsonl", repeated(TASK, 50_000), DONE, "", ids("t"))
export(
    "json-many-models", "x.jsonl",
    lambda _: b"".join(b'{"task_id":"%d","model":"m%d","status":"s%d"}\n' % (n, n, n) for n in range(50_000)), DONE,
)  # fmt: skip
export(
    "json-many-addresses", "x.json",
    lambda _: b'[{"task_id":"t","model":"kling","status":"completed","output":['
    + b",".join(b'"https://a.example/%d.png"' % n for n in range(50_000)) + b"]}]", DONE,
)  # fmt: skip
export(
    "json-long-address", "x.jsonl", lambda _: task(output={"image_url": "https://a.example/" + "x" * (4 << 20)}), DONE
)
export(
    "json-address-that-is-slow-to-match", "x.jsonl",
    lambda scale: task(output={"else": "http://a/ " + ".aa?" * (250_000 * scale) + " x"}), DONE,
)  # fmt: skip
export(
    "json-address-of-dots",
    "x.jsonl",
    lambda scale: task(output={"else": "http://a/ " + ".aa" * 500_000 + " \t"}),
    DONE,
)
export("json-address-of-hosts", "x.jsonl", lambda scale: task(output={"else": "http://" + "a@" * 500_000 + " "}), DONE)
export(
    "json-address-of-many-parts",
    "x.jsonl",
    lambda _: task(output={"image_url": "https://a.example/b?" + "a=1&" * 500_000}),
    DONE,
)
export("json-addresses-in-one-text", "x.jsonl", lambda _: task(output={"else": "http://a/b " * 50_000}), DONE)
export("json-text-in-text", "x.jsonl", lambda _: task(output=json.dumps(["[" * 100_000])), DONE)
export("json-deep-text-in-text", "x.jsonl", lambda _: task(output="[" * 100_000), DONE)
export("json-long-first-line", "x.jsonl", repeated(b" ", 80 << 20, b"{", TASK[1:] + TASK), (DONE, INPUT))
export("json-white-space", "x.json", repeated(b" ", 48 << 20, b"[", TASK + b"]"), DONE)
export("json-blank-lines", "x.jsonl", repeated(b"\n", 8 << 20, TASK, TASK), DONE, "", ids("t"))
export("json-times", "x.jsonl", lambda _: task(meta={"created_at": "2" * 1_000_000, "ended_at": 10**400}), DONE)
