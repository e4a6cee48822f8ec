"""Thing Descriptions: W3C Web of Things Thing Description 1.1 (https://www.w3.org/TR/wot-thing-description11/)."""

from allthings.things.td.check import check_td
from allthings.things.td.forms import with_forms, without_forms
from allthings.things.td.infer import (
    INFERRED,
    confirm_changed,
    discovered_td,
    infer_property,
    merge_inferred,
    seen_range,
)
from allthings.things.td.limits import TD_BYTES_MAX, TD_PROPERTIES_MAX
from allthings.things.td.patch import merge_patch
from allthings.things.td.properties import property_types

__all__ = [
    "INFERRED",
    "TD_BYTES_MAX",
    "TD_PROPERTIES_MAX",
    "check_td",
    "confirm_changed",
    "discovered_td",
    "infer_property",
    "merge_inferred",
    "merge_patch",
    "property_types",
    "seen_range",
    "with_forms",
    "without_forms",
]
