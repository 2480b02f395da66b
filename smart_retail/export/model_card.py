"""``MODEL_CARD.md``, written from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smart_retail.edge.manifest import DROPS, Manifest, learnt
from smart_retail.edge.processor import in_words
from smart_retail.evaluation.wording import in_years, loss_in_words, metric_name
from smart_retail.tasks import Task

USES = """- Counting visitors by group and time of day, without keeping faces, where people are told, the law
  allows it, and the terms above do.
- Research on multi-task face analysis."""
FORBIDDEN = """- Identifying or singling out a person, or following one beyond a single stay in view.
- Decisions about a person: admission, prices, employment, credit, policing, age checks."""
FORBIDDEN_OF = {
    "emotion": """
- Reading what someone feels: the emotion is the look of an expression as annotators named it. In the
  European Union emotion recognition at work and in education is prohibited (AI Act, article 5).""",
}
"""By the task, or by how tasks begin."""
LIMITS_OF = {
    "gender": """- Gender is annotated in two classes by appearance; it says nothing of how people see themselves.
""",
    "age": """- Age is the look of a face; the interval holds for faces like the validation data's.
""",
    "emotion": """- Emotions were learnt from posed and web images in grey at 48 px; expressions in a shop are weaker.
""",
}
LIMITS = "- Groups without a figure had too few labelled faces to be measured."


def summary(manifest: Manifest) -> str:
    """Return size, latency and accuracy of each precision as a table."""
    found: dict[str, Any] = manifest.variants
    columns = [p for p in ("fp32", *DROPS) if p in found]
    losses = {p: key for p, key in DROPS.items() if p in found}
    rows: list[tuple[str, ...]] = [("", *columns, *(f"loss of {p} (95%)" for p in losses))]
    rows.append(("size, MB", *(f"{found[p]['bytes'] / 1e6:.1f}" for p in columns)))
    latency = manifest.latency.get("variants", {})
    rows.append(("latency, ms", *(f"{latency[p]['processor_ms']:.2f}" if p in latency else "" for p in columns)))
    for split, values in manifest.metrics.items():
        for metric in dict.fromkeys(metric for p in columns for metric in values[p]):
            cells = (_value(metric, values[p].get(metric)) for p in columns)
            changes = (_loss(values.get(key, {}), metric) for key in losses.values())
            rows.append((f"{split}: {metric_name(metric, manifest.contract.tasks)}", *cells, *changes))
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=False)).rstrip() for row in rows)


def _loss(drops: dict[str, dict[str, Any]], metric: str) -> str:
    """Return what a task lost, beside the metric that it was measured by."""
    task, _, kind = metric.rpartition("_")
    drop = drops.get(task) if kind in ("acc", "mae") else None
    return loss_in_words(drop) if drop else ""


def _value(metric: str, figure: dict[str, Any] | None) -> str:
    """Return ``value (low to high)``."""
    if figure is None:
        return "-"
    factor = 1 if in_years(metric) else 100
    low, high = (figure[end] for end in ("low", "high"))
    reach = "" if low is None or high is None else f" ({factor * low:.2f} to {factor * high:.2f})"
    return f"{factor * figure['value']:.2f}{reach}"


def _tasks(tasks: Sequence[Task]) -> str:
    words = [f"{t.name} ({len(t.classes)} classes)" if t.is_classes else f"{t.name} (years)" for t in tasks]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _left_out(manifest: Manifest) -> str:
    """Return what the training learnt and this bundle does not answer."""
    names = manifest.contract.task_names
    left_out = [task for task in learnt(manifest.made_by, manifest.contract.tasks) if task.name not in names]
    if not left_out:
        return ""
    return f"\nLeft out: it was also trained on {_tasks(left_out)}, and no file of this bundle can tell these.\n"


def _of(parts: Mapping[str, str], tasks: Sequence[Task]) -> str:
    """Return the parts that concern some of the tasks."""
    return "".join(part for start, part in parts.items() if any(task.name.startswith(start) for task in tasks))


def _intervals(intervals: dict[str, dict[str, Any]], tasks: Sequence[Task]) -> str:
    if all(task.is_classes for task in tasks):
        return ""
    if not intervals:
        return "Too few validation faces with an age to give intervals."
    return " ".join(
        f"The interval of {task} is set so that about {100 * found['coverage']:.0f}% of {found['faces']:,} validation "
        "faces lie inside it."
        for task, found in intervals.items()
    )


def model_card(manifest: Manifest, notes: str = "") -> str:
    """Return the text of the card.

    Args:
        manifest: with metrics, variants and what the network was made from.
        notes: Markdown on how the network was made, for a section of its own.
    """
    made = manifest.made_by
    terms = "\n".join(f"- {line}" for line in manifest.terms) or "- not recorded"
    config = str(made.get("config") or "not recorded").strip()
    versions = ", ".join(f"{k} {v}" for k, v in made.get("versions", {}).items()) or "not recorded"
    tasks = manifest.contract.tasks
    tried = f"\n## How it was made\n\n{notes.strip()}\n" if notes.strip() else ""
    return f"""# Model card

**Terms of the training data, which bind the use of this network:**

{terms}

For other uses train it on faces whose licence allows them:
`smart-retail fit --config configs/experiment/cpu.yaml --config configs/data/own.yaml`.

One network for {_tasks(tasks)} of a face crop of {manifest.contract.image_size} px.
{_left_out(manifest)}
## Measured

```
{summary(manifest)}
```

Latency: batch 1, one thread, median of the processor time, on {in_words(manifest.latency.get("device", {}))}.
Intervals are 95% and resample clusters of duplicates.
`val` chose the checkpoint and gates INT8; `test` chose nothing. {_intervals(manifest.intervals, tasks)}
{_calibration(manifest.calibration)}

### By group, test faces, {"INT8" if "int8" in manifest.variants else "FP32"}

{_groups(manifest.metrics.get("test", {}).get("groups", {}), tasks)}

## Limits

{_of(LIMITS_OF, tasks)}{LIMITS}

## Meant for

{USES}

## Not allowed

{FORBIDDEN}{_of(FORBIDDEN_OF, tasks)}
{tried}
## Made by

Data fingerprint {made.get("data_fingerprint") or "not recorded"};
{versions}; commit {made.get("git") or "not recorded"}.

```yaml
{config}
```
"""


def _calibration(calibration: dict[str, dict[str, float]]) -> str:
    if not calibration:
        return "Probabilities are as the network gives them, not calibrated."
    parts = [
        f"{task} {values['temperature']:.2f} (expected calibration error {100 * values['error_before']:.1f}% before, "
        f"{100 * values['error_after']:.1f}% after, on the {values['faces']:,} faces they were fitted on)"
        for task, values in calibration.items()
    ]
    return f"Temperatures of the probabilities, applied by the Predictor: {'; '.join(parts)}."


def _groups(groups: dict[str, dict[str, Any]], tasks: Sequence[Task]) -> str:
    if not groups:
        return "No group had enough labelled faces."
    shown = list(dict.fromkeys(metric for values in groups.values() for metric in values))
    lines = [
        "| group | faces | " + " | ".join(metric_name(name, tasks) for name in shown) + " |",
        "| --- | ---: " + "| ---: " * len(shown) + "|",
    ]
    for name, values in groups.items():
        faces = max(figure["faces"] for figure in values.values())
        cells = " | ".join(_value(metric, values.get(metric)) for metric in shown)
        lines.append(f"| {name} | {faces:.0f} | {cells} |")
    return "\n".join(lines)
