"""Real descriptions: a few copies beside the tests, and all of the shared collection where it is at hand."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from allthings.things.names import name_from_id, valid_thing_name
from allthings.things.td import check_td, property_types, with_forms
from allthings.things.td.check import InvalidTdError

_HERE = Path(__file__).parent.parent / "data"
_ROOT = Path(__file__).parents[3]
_SHARED = Path(os.environ.get("ALLTHINGS_SHARED_DATA", _ROOT.parent / "shared" / "data")) / "interop"

#: Descriptions of the shared collection that are not valid, each with the member that the standard asks for.
_INVALID = {
    "wot-plugfest-td/Siemens/dataSchemaTest-siemens.json": "/forms/0/op",
    "wot-plugfest-td/Siemens/minItems_maxItems_oneOf.json": "/forms/0/op",
    "wot-plugfest-td/Siemens/uriVariablesTest-siemens.json": "/forms/0/op",
    "wot-plugfest-td/TinyIoT/directory.td.jsonld": "/actions/createThing/forms/0/response/contentType",
}


def _accept(doc: Any) -> None:
    td = check_td(doc)
    assert {key: td[key] for key in doc} == doc
    served = with_forms(td, "http://localhost:8484", mqtt="mqtt://localhost:1883")
    # Each of them says itself where its device is; nothing of ours belongs there.
    assert served == td
    assert property_types(td).keys() == td.get("properties", {}).keys()
    assert valid_thing_name(name_from_id(td.get("id", ""), td["title"]))


@pytest.mark.parametrize("path", sorted(_HERE.glob("*.td.jsonld")), ids=lambda path: path.name)
def test_real_descriptions_are_accepted(path: Path) -> None:
    _accept(json.loads(path.read_text()))


@pytest.mark.parametrize("path", sorted(_HERE.glob("*.tm.jsonld")), ids=lambda path: path.name)
def test_real_thing_models_are_told_apart(path: Path) -> None:
    with pytest.raises(InvalidTdError, match="Thing Model"):
        check_td(json.loads(path.read_text()))


@pytest.mark.skipif(not _SHARED.is_dir(), reason=f"the shared collection is not at {_SHARED}")
@pytest.mark.parametrize(
    ("folder", "accepted", "models"), [("wot-plugfest-td", 162, 73), ("wot-thingweb-examples", 58, 11)]
)
def test_the_shared_collection(folder: str, accepted: int, models: int) -> None:
    counts = {"accepted": 0, "models": 0}
    for path in sorted((_SHARED / folder).rglob("*.json*")):
        doc = json.loads(path.read_text())
        name = path.relative_to(_SHARED).as_posix()
        if "tm:ThingModel" in doc.get("@type", ()):
            with pytest.raises(InvalidTdError, match="Thing Model"):
                check_td(doc)
            counts["models"] += 1
        elif name in _INVALID:
            with pytest.raises(InvalidTdError, match=_INVALID[name]):
                check_td(doc)
        else:
            _accept(doc)
            counts["accepted"] += 1
    assert counts == {"accepted": accepted, "models": models}
