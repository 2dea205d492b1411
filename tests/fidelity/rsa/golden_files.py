"""What all golden numbers here share: numbers that look irregular, JSON with one list a line, and how numbers are compared with committed ones."""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


class Differs(Exception):
    """What differs, in a sentence."""


def require(holds, what):
    if not holds:
        raise Differs(what)


def mixed(number):
    """A number from -0.5 to 0.5 for a whole number."""
    number = number * 2654435761 % 2**32
    number ^= number >> 16
    number = number * 2246822519 % 2**32
    number ^= number >> 13
    return number / 2**32 - 0.5


def irregular(rows, columns, seed, digits=3):
    """A matrix of such numbers with few digits, so that JSON has exactly the numbers that were computed with."""
    numbers = [[mixed(1_000_000 * seed + 1000 * row + column) for column in range(columns)] for row in range(rows)]
    return np.round(np.array(numbers), digits)


def triangle(square):
    """The upper triangle of a square matrix by rows, without its diagonal."""
    return np.asarray(square)[np.triu_indices(len(square), 1)]


def plain(value):
    """Lists and numbers of Python in the place of NumPy's; what is not a number becomes null."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(part) for part in value]
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value


def text_of(value, indent=0):
    """JSON in which a list of numbers or texts takes one line."""
    inner = " " * (indent + 1)
    nested = lambda part: isinstance(part, (dict, list)) and any(isinstance(item, (dict, list)) for item in values(part))
    if isinstance(value, dict) and value:
        lines = [f"{inner}{json.dumps(key)}: {text_of(part, indent + 1)}" for key, part in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    if isinstance(value, list) and nested(value):
        return "[\n" + ",\n".join(inner + text_of(part, indent + 1) for part in value) + "\n" + " " * indent + "]"
    return json.dumps(value)


def values(value):
    return value.values() if isinstance(value, dict) else value


def difference(found, expected, tolerance, where=""):
    """The place of the first number that differs and both numbers, or nothing. Numbers may differ by the tolerance, relative above 1."""
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        return next((one for key in expected if (one := difference(found[key], expected[key], tolerance, f"{where}.{key}"))), "")
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected))
        return next((one for at, two in pairs if (one := difference(*two, tolerance, f"{where}[{at}]"))), "")
    if isinstance(expected, float) and isinstance(found, float) and abs(found - expected) <= tolerance * max(1, abs(expected)):
        return ""
    return "" if found == expected else f"{where} is {expected}, computed was {found}"


def beside(module, write):
    """Compares what a module computes with the JSON file of its name, or writes that file."""
    computed = plain(module.compute())
    path = HERE / f"{module.__name__}.json"
    if write:
        path.write_text(text_of(computed) + "\n")
    else:
        where = difference(computed, json.loads(path.read_text()), module.TOLERANCE)
        require(not where, f"{path.name}{where}")
