"""Registries: names are unique, and a wrong one is told the nearest."""

from dataclasses import dataclass

import pytest
from paredown.errors import InputError, UnknownName
from paredown.registry import Registry
from paredown.spaces.criteria import CRITERIA
from paredown.spaces.models import MODELS
from paredown.spaces.quantization.widths import shipped_widths
from paredown.spaces.technique import Phase
from paredown.spaces.techniques import TECHNIQUES, techniques_in


@dataclass(frozen=True)
class Fruit:
    name: str


@pytest.fixture
def fruits() -> Registry[Fruit]:
    registry: Registry[Fruit] = Registry("fruit", see="paredown fruits")
    for name in ("apple", "Apricot", "banana"):
        registry.register(Fruit(name))
    return registry


def test_keeps_records_in_order(fruits: Registry[Fruit]) -> None:
    assert fruits.names == ("apple", "Apricot", "banana")
    assert [fruit.name for fruit in fruits] == list(fruits.names)
    assert len(fruits) == 3
    assert "apple" in fruits
    assert "pear" not in fruits
    assert fruits.get("banana") == Fruit("banana")


def test_returns_what_it_registers(fruits: Registry[Fruit]) -> None:
    pear = Fruit("pear")
    assert fruits.register(pear) is pear
    assert fruits.get("pear") is pear


def test_refuses_a_name_twice(fruits: Registry[Fruit]) -> None:
    with pytest.raises(ValueError, match="fruit 'apple' is registered twice"):
        fruits.register(Fruit("apple"))
    assert len(fruits) == 3


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("aple", "did you mean apple?"), ("APRICOT", "did you mean Apricot"), ("bananas", "banana")],
)
def test_says_the_nearest_names(fruits: Registry[Fruit], name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown fruit '{name}'") as caught:
        fruits.get(name)
    assert nearest in str(caught.value)
    assert "`paredown fruits` lists them" in str(caught.value)


def test_says_all_names_where_none_is_near(fruits: Registry[Fruit]) -> None:
    with pytest.raises(UnknownName, match="known: Apricot, apple, banana") as caught:
        fruits.get("xyz")
    assert isinstance(caught.value, InputError)
    assert caught.value.known == ["Apricot", "apple", "banana"]


def test_says_how_many_where_there_are_too_many() -> None:
    many: Registry[Fruit] = Registry("fruit")
    for number in range(13):
        many.register(Fruit(f"fruit-{number}"))
    with pytest.raises(UnknownName, match=r"unknown fruit 'xyz'; 13 are known$"):
        many.get("xyz")


def test_everything_registered_is_described() -> None:
    infos = [info for technique in TECHNIQUES for info in technique.infos()]
    infos += [criterion.info for criterion in CRITERIA]
    for info in infos:
        assert info.name
        assert info.title
        assert info.replaces
        assert info.saves
    for model in MODELS:
        assert model.title
        assert model.link.startswith("https://")
        assert model.channels in (None, 1, 3)


def test_default_options_are_canonical_and_begin_with_the_neutral_one() -> None:
    for technique in TECHNIQUES:
        options = technique.default_options()
        assert options[0] == technique.neutral
        assert len(set(options)) == len(options)
        assert all(technique.parse(option) == option for option in options)
    alone = {technique.name for technique in TECHNIQUES if len(technique.default_options()) == 1}
    manners = {"criterion", "round", "steps", "quantizer"}
    assert (
        alone == {"resolution", "neck", "trunk", "sparse"} | manners
    )  # searched where a study asks for them


def test_techniques_act_phase_after_phase() -> None:
    structure = ["resolution", "depth", "neck", "head", "trunk", "width", "block"]
    assert [technique.name for technique in TECHNIQUES] == [
        *structure,
        *("criterion", "round", "steps", "prune", "sparse"),
        *("bits", "quantizer"),
    ]
    assert [technique.name for phase in Phase for technique in techniques_in(phase)] == list(
        TECHNIQUES.names
    )


def test_bit_widths_are_named_for_their_bits() -> None:
    for width in shipped_widths():
        assert width.name == f"w{width.weights}a{width.activations}"
