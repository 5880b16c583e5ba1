"""The parts of a graph that become int8."""

from monitor.zoo.build.int8_graph import nodes_to_quantize
from tests.zoo.small_graph import small_model


def test_layers_and_what_stays_between() -> None:
    """Every layer after the front end is chosen, and what follows convolutions, but nothing that works on float."""
    names = nodes_to_quantize(small_model(), ("frontend",))

    assert names == [
        f"node_{name}"
        for name in (
            ["stem", "stem_relu", "deep", "deep_relu", "point", "point_relu", "left", "left_clip", "sum", "logits"]
        )
    ]


def test_a_sum_with_float_is_float() -> None:
    """A sum with a float operand is not rounded."""
    names = nodes_to_quantize(small_model(), ("frontend", "left"))

    assert "node_point_relu" in names
    assert "node_left_clip" not in names
    assert "node_sum" not in names


def test_a_module_is_not_its_namesake() -> None:
    """A kept module is matched by its whole name: to keep `lef` does not keep `left`."""
    assert "node_left" in nodes_to_quantize(small_model(), ("frontend", "lef"))
    assert "node_left" not in nodes_to_quantize(small_model(), ("frontend", "left"))
