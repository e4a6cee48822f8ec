import inspect

from allthings.things import errors
from allthings.things.errors import AllthingsError, NotFoundError


def _all() -> list[type[AllthingsError]]:
    return [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, AllthingsError)]


def test_each_error_has_a_type_of_its_own() -> None:
    types = [error.type for error in _all()]
    assert len(set(types)) == len(types)


def test_each_error_has_a_title_and_a_status() -> None:
    for error in _all():
        assert error.title
        assert 400 <= error.status < 600


def test_the_tree_in_the_docstring_is_complete() -> None:
    assert errors.__doc__
    for error in _all():
        assert error.__name__ in errors.__doc__


def test_an_error_carries_more_members() -> None:
    error = NotFoundError("no lamp", thing="lamp")
    assert str(error) == error.detail == "no lamp"
    assert error.extensions == {"thing": "lamp"}
