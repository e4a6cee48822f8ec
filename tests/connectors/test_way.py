from allthings.connectors import way


def test_a_message_tells_which_bridges_it_crossed() -> None:
    once = way.with_step([("unit", "K")], "b1")
    assert once == (("unit", "K"), (way.WAY, "b1"))
    twice = way.with_step(once, "b2")
    assert twice == (("unit", "K"), (way.WAY, "b1,b2"))
    assert way.crossed(twice) == ("b1", "b2")


def test_a_way_in_pieces_is_read_and_joined() -> None:
    pieces = [(way.WAY, "b1"), ("x", "y"), (way.WAY, "b2,,b3")]
    assert way.crossed(pieces) == ("b1", "b2", "b3")
    assert way.with_step(pieces, "b4") == (("x", "y"), (way.WAY, "b1,b2,b3,b4"))


def test_a_message_without_a_way_has_crossed_none() -> None:
    assert way.crossed([]) == way.crossed([("x", "y"), (way.WAY, "")]) == ()


def test_what_came_over_a_bridge_is_known_by_its_client() -> None:
    assert way.came_over_a_bridge(way.client_name("north"))
    assert way.came_over_a_bridge(way.client_id("5f2d9c0e"))
    assert not way.came_over_a_bridge("pump-7")
