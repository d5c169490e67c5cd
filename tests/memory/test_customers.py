"""Who is never a customer."""

import pytest

from sipacr.memory.customers import Customers
from tests import company


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (company.CUSTOMER, ""),
        ("+49301234567", ""),
        ("22", ""),  # a number that cannot be normalised may be a customer's
        ("101", "is an internal extension"),
        ("199", "is an internal extension"),
        (company.SHOP, "is a number of our own"),
        ("22 111 22 33", "is a number of our own"),
        ("112", "is an emergency number"),
        ("601 222 333", "is the mobile of ivan"),
    ],
)
def test_why_nobody(number: str, why: str) -> None:
    customers = Customers(company.DIRECTORY, company.EMPTY)
    assert customers.why_nobody(company.PL.read(number), anonymous=False, shared=False) == why


def test_the_hidden_and_the_shared() -> None:
    customers = Customers(company.DIRECTORY, company.EMPTY)
    number = company.PL.read(company.CUSTOMER)
    assert customers.why_nobody(number, anonymous=True, shared=True) == "is anonymous"
    assert customers.why_nobody(number, anonymous=False, shared=True) == "is marked as shared"
