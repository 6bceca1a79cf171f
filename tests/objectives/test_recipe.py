"""Recipes: their defaults are the paper's, and what cannot be is refused by name."""

import dataclasses
import math
from typing import Any

import pytest
from paredown.objectives.training.recipe import Recipe, Recipes
from pydantic import TypeAdapter, ValidationError

EDGES: list[tuple[str, object]] = [
    ("epochs", 0),
    ("max_lr", 1e-9),
    ("warmup", 0.999),
    ("batch_size", 2),
    ("momentum", 0),
    ("weight_decay", 0),
    ("distill", 0),
    ("distill", 1),
    ("temperature", 1e-3),
]
BEYOND: list[tuple[str, object]] = [
    ("epochs", -1),
    ("epochs", 1.5),
    ("epochs", "many"),
    ("epochs", None),
    ("max_lr", 0),
    ("max_lr", -0.1),
    ("max_lr", math.nan),
    ("max_lr", math.inf),
    ("warmup", 0),
    ("warmup", 1),
    ("warmup", math.nan),
    ("batch_size", 1),
    ("batch_size", 0),
    ("momentum", 1),
    ("momentum", -0.1),
    ("momentum", math.nan),
    ("weight_decay", -1e-9),
    ("weight_decay", math.inf),
    ("weight_decay", math.nan),
    ("distill", -0.1),
    ("distill", 1.1),
    ("distill", math.nan),
    ("temperature", 0),
    ("temperature", math.inf),
    ("temperature", math.nan),
]


def recipe(**values: Any) -> Recipe:
    return Recipe(**values)


@pytest.mark.parametrize(("name", "value"), EDGES)
def test_the_edges_of_the_range_are_inside(name: str, value: object) -> None:
    assert getattr(recipe(**{name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), BEYOND)
def test_values_that_cannot_be_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        recipe(**{name: value})
    assert [error["loc"] for error in caught.value.errors()] == [(name,)]


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        recipe(epochs=-1, max_lr=0, distill=2)
    assert len(caught.value.errors()) == 3


def test_unknown_keys_are_refused() -> None:
    read = TypeAdapter(Recipe).validate_python
    assert read({"epochs": 3}) == Recipe(epochs=3)
    with pytest.raises(ValidationError, match="epoch\n"):
        read({"epoch": 3})
    with pytest.raises(ValidationError, match="lr\n"):
        recipe(lr=0.1)


def test_recipes_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().epochs = 3  # type: ignore[misc]
    assert len({Recipe(epochs=3), Recipe(epochs=3), Recipe(epochs=4)}) == 2


def test_plans_learn_from_the_baseline_and_the_baseline_from_none() -> None:
    recipes = Recipes()
    assert recipes.baseline.distill == 0
    assert recipes.train.distill > 0
    assert recipes.fine_tune.distill > 0
