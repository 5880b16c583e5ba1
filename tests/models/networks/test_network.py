"""The networks of the recipe: what goes in and out, what is the same mathematics, and who starts from whom."""

import importlib
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
network = importlib.import_module("models.train.networks.network")
lean = importlib.import_module("models.train.networks.lean")
convnext = importlib.import_module("models.train.networks.convnext")
catalogue = importlib.import_module("models.train.networks.catalogue")
EVENTS = importlib.import_module("models.train.data.events").EVENTS


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def waveforms(count: int) -> Any:
    return 0.2 * torch.randn(count, 15_600)


def unlike_new(made: Any) -> Any:
    """The network with no bias at zero and no normalisation that does nothing, in eval mode."""
    for name, tensor in [*made.named_parameters(), *made.named_buffers()]:
        if name.endswith("bias") or "running" in name:
            tensor.data.uniform_(0.5, 1.5)
    return made.eval()


@pytest.mark.parametrize("name", catalogue.RECIPES)
@torch.inference_mode()  # type: ignore[untyped-decorator]
def test_every_network_answers_each_window_for_itself(name: str) -> None:
    made, heard = unlike_new(catalogue.RECIPES[name].make()), waveforms(3)
    classes, events, embedding = made(heard)
    assert (classes.shape, events.shape, embedding.shape) == ((3, 521), (3, len(EVENTS)), (3, 512))
    assert (embedding >= 0).all()
    for together, alone in zip((classes, events, embedding), made(heard[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


@torch.inference_mode()  # type: ignore[untyped-decorator]
def test_the_wave_encoder_hears_the_energy_of_pairs_of_filters() -> None:
    encoder, heard = lean.WaveEncoder().eval(), waveforms(2)
    real, imaginary = encoder.filters(heard.reshape(2, 20, 780)).split(lean.FILTERS, dim=2)
    wanted = encoder.lstm(0.25 * torch.log(real**2 + imaginary**2 + 1e-6))[0]
    torch.testing.assert_close(encoder(heard), wanted, rtol=1e-4, atol=1e-5)


@torch.inference_mode()  # type: ignore[untyped-decorator]
def test_realignment_is_scaled_dot_product_attention() -> None:
    """With the biases of keys and values, which the cheaper order of products must not lose."""
    attention = unlike_new(lean.Realignment(160, 48))
    feature_map, temporal = torch.randn(2, 160, 4, 4), torch.randn(2, 20, 48)
    query = attention.query(feature_map.mean(dim=3).transpose(1, 2))
    wanted = torch.nn.functional.scaled_dot_product_attention(query, attention.key(temporal), attention.value(temporal))
    torch.testing.assert_close(attention(feature_map, temporal), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("attention", [True, False])
@torch.inference_mode()  # type: ignore[untyped-decorator]
def test_lean_answers_at_first_as_the_branch_that_it_starts_from(attention: bool) -> None:
    branch, made, heard = unlike_new(network.BranchAlone()), lean.Lean(attention).eval(), waveforms(2)
    catalogue.start_from(made, branch)
    for wanted, answer in zip(branch(heard), made(heard), strict=True):
        torch.testing.assert_close(answer, wanted, rtol=1e-5, atol=1e-5)


def test_what_lean_learns_leaves_the_branch_alone() -> None:
    branch, made, heard = network.BranchAlone().eval(), lean.Lean().eval(), waveforms(1)
    before = branch(heard)[0].detach()
    made.adopt(branch)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(branch(heard)[0], before)


def test_the_wave_encoder_of_an_adopted_branch_can_still_learn() -> None:
    """Its columns in the embedding layer start at zero, but not their gradient."""
    made = lean.Lean()
    made.adopt(network.BranchAlone())
    made(waveforms(2))[0].sum().backward()
    assert made.heads.embed.weight.grad[:, 320:].abs().sum() > 0


def test_a_network_does_not_start_from_one_of_another_kind() -> None:
    with pytest.raises(TypeError, match="ConvNeXt cannot start from Lean"):
        catalogue.start_from(convnext.ConvNeXt(), lean.Lean())


@torch.inference_mode()  # type: ignore[untyped-decorator]
def test_convnext_starts_with_what_the_branch_hears_first() -> None:
    branch, made, heard = unlike_new(network.BranchAlone()), convnext.ConvNeXt().eval(), waveforms(2)
    catalogue.start_from(made, branch)
    stages = branch.branch.stages[:2]
    wanted = stages(branch.branch.stem(network.normalised(branch.frontend(heard))))
    torch.testing.assert_close(made.branch(made.frontend(heard)), wanted)
    torch.testing.assert_close(made.heads.events.weight, branch.heads.events.weight)


def test_a_recipe_keeps_modules_that_its_network_has() -> None:
    """A misspelt one would be quantised without a word."""
    for recipe in catalogue.RECIPES.values():
        modules = {f"network.{name}" for name, _ in recipe.make().named_modules()}
        assert modules >= {*recipe.keep, "network.frontend"}
