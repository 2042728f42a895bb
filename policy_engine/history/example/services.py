"""What a made-up history consists of: each kind of task, its share, what is asked and what comes back."""

from __future__ import annotations

from dataclasses import dataclass

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
"""JSON as Python values. A `<name>` in a string is filled in per task with that field of `making.Task`."""


@dataclass(frozen=True)
class Kind:
    """One kind of task."""

    service: str
    """As what it is counted in the summary: the id of its service in the bundled catalog, or `unknown`."""
    model: str
    """Its model in task objects."""
    task_type: str
    """Its task type in task objects, and its action in history rows."""
    cards: int
    """How many cards of the deck it has: its share is this out of the sum over all kinds."""
    outputs: tuple[Json, ...]
    """What the output of a completed task may look like; all are about equally likely."""
    input: dict[str, Json]
    """What was asked for."""
    points: tuple[int, ...]
    """Possible prices, in `unit`."""
    seconds: tuple[int, int]
    """Shortest and longest run."""
    history: str = ""
    """Its model in history rows; empty when it is the same as in task objects."""
    waiting: Json = None
    """The output before completion and after a failure."""
    unit: str = "point"
    """The unit of its usage."""
    service_mode: str = ""
    """`public`, `private`, or empty for the default of the account."""
    private_pool: bool | None = False
    """Whether it ran on the user's own account; None leaves the field out."""
    meta: tuple[tuple[str, Json], ...] = ()
    """Further fields of `meta`."""
    logs: Json = None
    """What `logs` holds."""
    webhook: bool = False
    """Whether a webhook was asked for."""
    parents: str = ""
    """Its completed tasks may be continued by the kinds that name this word in `continues`."""
    continues: str = ""
    """It continues a task of this family: `<parent>` is that task's id, `<parent_file>` its first file."""


_TEMPORARY = "https://img.theapi.app/temp/"
_EPHEMERAL = "https://img.theapi.app/ephemeral/"
# What somebody sent in: URLs in an input are not outputs, whatever their host.
_SENT = "https://uploads.example.com/in/<c>.jpg"
_SENT_FACE = "https://uploads.example.com/in/<b>.jpg"
_SENT_FILM = "https://uploads.example.com/in/<c>.mp4"
_SENT_TO_PLATFORM = "https://upload.theapi.app/in/<c>.png"


def _midjourney_output(
    actions: tuple[Json, ...],
    *,
    crops: tuple[Json, ...] = (),
    files: tuple[Json, ...] = (),
    discord: str = "",
) -> Json:
    return {
        "image_url": "https://img.theapi.app/mj/<id>.png",
        "image_urls": list(files) or None,
        "temporary_image_urls": list(crops) or None,
        "discord_image_url": discord,
        "actions": list(actions),
        "progress": 100,
        "intermediate_image_urls": None,
    }


_CROPS = tuple(
    f"https://img.theapi.app/cdn-cgi/image/trim={trim}/mj/<id>.png"
    for trim in ("0;1024;1024;0", "0;0;1024;1024", "1024;1024;0;0", "1024;0;0;1024")
)
_FILES = tuple(f"https://cdn.midjourney.com/<a>/0_{number}.png" for number in range(4))
_DISCORD = (
    "https://cdn.discordapp.com/attachments/<digits>/<digits>/<a>.png"
    "?ex=<link_end_hex>&is=<link_start_hex>&hm=<signature>&"
)
_GRID_ACTIONS = ("reroll", "upscale1", "upscale2", "variation1", "variation2")
_IMAGINED = (
    _midjourney_output(_GRID_ACTIONS, crops=_CROPS),
    _midjourney_output(_GRID_ACTIONS),
    _midjourney_output(_GRID_ACTIONS, crops=_CROPS, files=_FILES),
    _midjourney_output(_GRID_ACTIONS, discord=_DISCORD),
)
_UPSCALED = (
    _midjourney_output(("upscale_2x", "upscale_4x", "pan_left", "pan_right")),
    _midjourney_output(("upscale_subtle", "upscale_creative"), files=_FILES[:1]),
)
_MIDJOURNEY_WAITING: Json = {
    "image_url": "",
    "image_urls": None,
    "temporary_image_urls": None,
    "discord_image_url": "",
    "actions": [],
    "progress": 0,
    "intermediate_image_urls": None,
}
_ASKED: dict[str, Json] = {"prompt": "<prompt>", "aspect_ratio": "<ratio>"}


def _midjourney(
    cards: tuple[int, ...], family: str, service_mode: str, private_pool: bool | None, failover: bool = False
) -> tuple[Kind, ...]:
    """Imagine, upscale and variation under one account; on the user's own account none costs points."""
    follow_up: dict[str, Json] = {"origin_task_id": "<parent>", "index": "<pick>"}
    wanted: tuple[tuple[str, tuple[Json, ...], dict[str, Json], int], ...] = (
        ("imagine", _IMAGINED, {**_ASKED, "process_mode": "fast", "skip_prompt_check": False}, 700_000),
        ("upscale", _UPSCALED, follow_up, 100_000),
        ("variation", _IMAGINED, {**follow_up, "prompt": ""}, 700_000),
    )
    return tuple(
        Kind(
            "midjourney", "midjourney", task_type, share, outputs, asked, (0 if private_pool else points,),
            (12, 90), history="mj", waiting=_MIDJOURNEY_WAITING,
            service_mode=service_mode, private_pool=private_pool,
            meta=(("model_version", "unknown"), ("process_mode", "fast"), ("failover_triggered", failover)),
            logs=[], parents=family if task_type == "imagine" else "",
            continues="" if task_type == "imagine" else family,
        )
        for share, (task_type, outputs, asked, points) in zip(cards, wanted, strict=False)
    )  # fmt: skip


_MIDJOURNEY = (
    *_midjourney((12, 7, 4), "pay_as_you_go", "public", False),
    *_midjourney((8, 5, 3), "host_your_account", "private", True),
    *_midjourney((4, 2), "account_unknown", "", None),
    # Asked to run on the user's own account, which was busy, so the platform's took over.
    *_midjourney((1,), "failover", "private", False, failover=True),
    Kind(
        "midjourney", "midjourney", "describe", 2, ({"description": "1. <prompt>\n2. <prompt>"},),
        {"image_url": _SENT}, (200_000,), (8, 40), history="mj", waiting={"description": ""},
        service_mode="public", logs=[],
    ),
)  # fmt: skip

_KLING_CLEAN = "https://storage.theapi.app/videos/<digits>.mp4"


def _kling_output(sort: str, width: int, height: int, milliseconds: int) -> Json:
    sides: dict[str, Json] = {"height": height, "width": width}
    cover = "https://s15-kling.klingai.com/kimg/<b>_cover.jpg.origin?x-kcdn-pid=100001"
    video = "https://v15-kling.klingai.com/works/<a>_video.mp4?x-kcdn-pid=100001"
    work: Json = {
        "content_type": "video",
        "status": 99,
        "type": sort,
        "cover": {"resource": cover, "resource_without_watermark": "", **sides, "duration": 0},
        "video": {
            "resource": video, "resource_without_watermark": _KLING_CLEAN, **sides, "duration": milliseconds,
        },
    }  # fmt: skip
    return {"video_url": _KLING_CLEAN, "type": sort, "status": 99, "works": [work]}


_KLING_WAITING: Json = {"video_url": "", "type": "", "status": 0, "works": []}
_EPHEMERAL_VIDEO: tuple[Json, ...] = ({"video": _EPHEMERAL + "<a>.mp4"},)

_KLING = (
    Kind(
        "kling", "kling", "video_generation", 14,
        (_kling_output("m2v_txt2video", 1280, 720, 5_100), _kling_output("m2v_img2video", 960, 960, 10_100)),
        {**_ASKED, "image_url": _SENT, "cfg_scale": 0.5, "duration": 5, "mode": "std", "version": "2.1"},
        (2_600_000, 4_600_000, 9_200_000), (70, 700), waiting=_KLING_WAITING, service_mode="public",
        parents="kling",
    ),
    Kind(
        "kling", "kling", "extend_video", 3, (_kling_output("m2v_extend_video", 1280, 720, 9_600),),
        {"origin_task_id": "<parent>", "prompt": "<prompt>"}, (2_600_000,), (90, 600), waiting=_KLING_WAITING,
        service_mode="public", continues="kling",
    ),
    Kind(
        "kling", "kling", "video_generation", 5, ({"video": _KLING_CLEAN},),
        {**_ASKED, "duration": 5, "enable_audio": True, "mode": "std", "version": "3.0"},
        (5_000_000, 7_500_000), (90, 900), waiting={"video": ""}, service_mode="public", webhook=True,
    ),
    Kind(
        "kling", "kling-turbo", "video_generation", 4, _EPHEMERAL_VIDEO, {**_ASKED, "image_url": _SENT},
        (1_900_000,), (40, 240), history="kling", waiting={"video": ""}, logs=[],
    ),
)  # fmt: skip


def _luma(task_type: str, cards: int, unit: str, points: int, asked: dict[str, Json]) -> Kind:
    base = "https://storage.cdn-luma.com/dream-machine/<a>/"
    sides: dict[str, Json] = {"width": 1280, "height": 720}
    output: Json = {
        "prompt": "<prompt>",
        "internal_state": "completed",
        "created_at": "<started>",
        "video": {"url": base + "<b>/clip_watermarked.mp4", **sides},
        "video_raw": {"url": base + "<c>/clip.mp4", **sides},
        "thumbnail": {"url": "https://imagedelivery.net/made-up-account/<b>/public", **sides},
        "last_frame": {"url": base + "<b>/clip_last_frame.jpg", **sides},
    }
    waiting: Json = {
        "prompt": "",
        "internal_state": "",
        "created_at": "0001-01-01T00:00:00Z",
        "video": None,
        "video_raw": None,
        "thumbnail": None,
        "last_frame": None,
    }
    return Kind(
        "luma", "luma", task_type, cards, (output,), {"prompt": "<prompt>", "model_name": "ray-v2", **asked},
        (points,), (60, 260), waiting=waiting, unit=unit, webhook=True, meta=(("failover_triggered", False),),
    )  # fmt: skip


_LUMA = (
    _luma("video_generation", 7, "point", 2_000_000, {"aspect_ratio": "<ratio>", "duration": 5}),
    _luma("video_generation", 2, "luma_quota", 30, {"aspect_ratio": "<ratio>"}),
    _luma("extend_video", 1, "point", 2_000_000, {"key_frames": {"frame0": {"type": "image", "url": _SENT}}}),
)


def _clip(name: str) -> Json:
    return {
        "id": name,
        "audio_url": f"https://cdn1.suno.ai/{name}.mp3",
        "video_url": f"https://cdn1.suno.ai/{name}.mp4",
        "image_url": f"https://cdn1.suno.ai/image_{name}.png",
        "image_large_url": f"https://cdn1.suno.ai/image_large_{name}.png",
    }


_CLIPS: tuple[Json, ...] = ({"clips": {"<a>": _clip("<a>"), "<b>": _clip("<b>")}},)


def _songs(query: str) -> Json:
    song: Json = {
        "id": "<a>",
        "title": "Untitled",
        "song_path": "https://storage.googleapis.com/udio-artifacts-made-up/samples/<a>/song.mp3" + query,
        "image_path": "https://imagedelivery.net/made-up-account/<b>/public",
        "finished": True,
    }
    return {"songs": [song]}


_SOUND = (
    Kind(
        "suno", "music-s", "generate_music", 5, _CLIPS,
        {"gpt_description_prompt": "<prompt>", "make_instrumental": False}, (500_000,), (40, 200),
        waiting={"clips": {}}, parents="suno",
    ),
    Kind(
        "suno", "suno", "generate_music_custom", 3, _CLIPS,
        {"prompt": "<prompt>", "tags": "slow, warm", "continue_clip_id": "<parent_file>", "continue_at": 60},
        (500_000,), (40, 200), history="music-s", waiting={"clips": {}}, continues="suno",
    ),
    Kind(
        "udio", "music-u", "generate_music", 4,
        (_songs(""), _songs("?GoogleAccessId=made-up&Expires=<link_end>&Signature=<signature>")),
        {"gpt_description_prompt": "<prompt>", "lyrics_type": "generate"}, (500_000,), (50, 240),
        waiting={"songs": []},
    ),
    Kind(
        "tts", "Qubico/tts", "zero-shot", 2, ({"audio_url": _TEMPORARY + "<a>.wav"},),
        {"gen_text": "<prompt>", "ref_audio": "https://uploads.example.com/in/<c>.mp3"}, (20_000,), (3, 30),
        history="tts", unit="llm", logs=[],
    ),
)  # fmt: skip

_PICTURE: tuple[Json, ...] = ({"image_base64": "", "image_url": _TEMPORARY + "<a>.png"},)
_VIDEO_URL: tuple[Json, ...] = ({"video_url": _EPHEMERAL + "<a>.mp4"},)


def _flux(model: str, task_type: str, cards: int, points: int, asked: dict[str, Json], unit: str = "llm") -> Kind:
    return Kind(
        "flux", model, task_type, cards, _PICTURE, {"prompt": "<prompt>", "width": 1024, **asked}, (points,),
        (4, 45), history="flux", unit=unit, logs=[],
    )  # fmt: skip


_FLUX = (
    _flux("Qubico/flux1-dev", "txt2img", 8, 150_000, {"guidance_scale": 2.5}),
    _flux("Qubico/flux1-schnell", "txt2img", 8, 20_000, {"batch_size": 1}),
    _flux("Qubico/flux1-schnell", "img2img", 3, 20_000, {"image": _SENT, "denoise": 0.7}, unit="quota"),
    _flux("Qubico/flux1-dev-advanced", "kontext", 4, 200_000, {"image": _SENT_TO_PLATFORM, "steps": 10}),
    _flux("Qubico/flux1-dev-advanced", "txt2img-lora", 3, 250_000, {"lora_settings": []}),
)


def _tool(service: str, medium: str, task_type: str, cards: int, points: int, asked: dict[str, Json]) -> Kind:
    """One of the tools that share a model, the face swaps among them: only the task type distinguishes them."""
    return Kind(
        service, f"Qubico/{medium}-toolkit", task_type, cards, _PICTURE if medium == "image" else _VIDEO_URL, asked,
        (points,), (4, 30) if medium == "image" else (40, 600), history=f"{medium}_toolkit", unit="llm", logs=[],
    )  # fmt: skip


_SWAP: dict[str, Json] = {"target_image": _SENT, "swap_image": _SENT_FACE}
_SWAPS: dict[str, Json] = {**_SWAP, "swap_faces_index": "0,1", "target_faces_index": "1,0"}

_TOOLS = (
    _tool("faceswap", "image", "face-swap", 7, 100_000, _SWAP),
    _tool("faceswap", "image", "multi-face-swap", 2, 200_000, _SWAPS),
    _tool("faceswap-video", "video", "face-swap", 3, 900_000, {"target_video": _SENT_FILM, "swap_image": _SENT_FACE}),
    _tool("image-tools", "image", "background-remove", 2, 10_000, {"image": _SENT_TO_PLATFORM}),
    _tool("image-tools", "image", "upscale", 2, 10_000, {"image": _SENT, "scale": 2}),
    _tool("image-tools", "image", "segment", 1, 10_000, {"image": _SENT, "prompt": "<prompt>"}),
    _tool("video-tools", "video", "upscale", 1, 600_000, {"video": _SENT_FILM}),
)

_HAILUO_OUTPUT: Json = {
    "percent": 100,
    "video_url": _EPHEMERAL + "<a>.mp4",
    "download_url": _EPHEMERAL + "<a>.mp4",
    "cover_url": _EPHEMERAL + "<b>.jpg",
    "prompt_img_url": _SENT,
    "status": 2,
}
_HAILUO_WAITING: Json = {
    "percent": 0,
    "video_url": "",
    "download_url": "",
    "cover_url": "",
    "prompt_img_url": "",
    "status": 0,
}
_MESH: tuple[Json, ...] = (
    {
        "model_file": _TEMPORARY + "<a>.glb",
        "combined_video": _TEMPORARY + "<b>.mp4",
        "no_background_image": _TEMPORARY + "<c>.png",
    },
)
_DRAWN: tuple[Json, ...] = (
    {"image_urls": [_EPHEMERAL + "<a>.png", _EPHEMERAL + "<b>.png"]},
    {"image_url": _EPHEMERAL + "<a>.png", "image_urls": [_EPHEMERAL + "<a>.png"]},
)


def _simple(
    service: str, model: str, task_type: str, cards: int, points: int, outputs: tuple[Json, ...],
    history: str = "", seconds: tuple[int, int] = (60, 420),
) -> Kind:  # fmt: skip
    return Kind(
        service, model, task_type, cards, outputs, _ASKED, (points,), seconds, history=history, unit="llm",
        logs=[],
    )  # fmt: skip


_OTHERS = (
    Kind(
        "ai-hug", "Qubico/hug-video", "image_to_video", 4, ({"video_url": _TEMPORARY + "<a>.mp4"},),
        {"image_url": _SENT}, (1_000_000,), (60, 400), history="hug_video", waiting={}, logs=[],
    ),
    Kind(
        "hailuo", "hailuo", "video_generation", 3, (_HAILUO_OUTPUT,),
        {"model": "i2v-01", "prompt": "<prompt>", "image_url": _SENT, "expand_prompt": True}, (2_000_000,),
        (90, 420), waiting=_HAILUO_WAITING, service_mode="public",
    ),
    _simple("trellis", "Qubico/trellis", "image-to-3d", 2, 400_000, _MESH, "trellis"),
    _simple("wan", "Qubico/wanx", "txt2video-14b", 3, 2_800_000, _VIDEO_URL, "wan"),
    _simple("hunyuan", "Qubico/hunyuan", "txt2video", 3, 300_000, _VIDEO_URL, "hunyuan"),
    _simple("sora2", "sora2", "sora2-video", 4, 3_200_000, _EPHEMERAL_VIDEO),
    _simple("veo3", "veo3", "veo3-video", 2, 9_600_000, _EPHEMERAL_VIDEO),
    _simple("veo3", "veo3.1", "veo3.1-video", 1, 9_600_000, _EPHEMERAL_VIDEO),
    _simple("seedance", "seedance", "seedance-video", 3, 1_500_000, _EPHEMERAL_VIDEO),
    _simple("gemini", "gemini", "gemini-2.5-flash-image", 4, 300_000, _DRAWN, seconds=(5, 40)),
    _simple("qwen-image", "Qubico/qwen-image", "txt2img", 3, 200_000, _PICTURE, seconds=(5, 40)),
    _simple("llm", "llm", "chat", 4, 12_000, ({"text": "<prompt>"},), seconds=(1, 20)),
    # A name that no catalog lists: something launched last week.
    _simple("unknown", "aurora-video-preview", "text-to-video", 1, 4_000_000, _EPHEMERAL_VIDEO),
)  # fmt: skip

KINDS = (*_MIDJOURNEY, *_KLING, *_LUMA, *_SOUND, *_FLUX, *_TOOLS, *_OTHERS)
"""Every kind of task, in the order in which the summary counts their services."""
