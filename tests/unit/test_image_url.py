"""Image addresses in shops, which are not always valid URLs."""

import pytest

from mappers.image_url import image_url


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("https://i.example/Summer Bag, front ü.jpg", "https://i.example/Summer%20Bag,%20front%20%C3%BC.jpg"),
        ("https://i.example/already%20fine.jpg?w=2&h=3#x", "https://i.example/already%20fine.jpg?w=2&h=3#x"),
        ("https://i.example/50% off.jpg", "https://i.example/50%25%20off.jpg"),
        ("https://i.example/100%.jpg?a=%zz", "https://i.example/100%25.jpg?a=%25zz"),
        ("https://i.example/a.jpg?t=ä b#c d", "https://i.example/a.jpg?t=%C3%A4%20b#c%20d"),
        ("https://bücher.example/a b.jpg", "https://xn--bcher-kva.example/a%20b.jpg"),
        ("https://i.example/a{1}|b.jpg", "https://i.example/a%7B1%7D%7Cb.jpg"),
        ("//i.example/ü.jpg", "//i.example/%C3%BC.jpg"),
        ("/ü.jpg", "/%C3%BC.jpg"),
        ("https://[broken/ü.jpg", "https://%5Bbroken/%C3%BC.jpg"),
        ("https://i.example/\ud83d.jpg", "https://i.example/%3F.jpg"),
    ],
)
def test_an_address_becomes_a_valid_url(address: str, url: str) -> None:
    """Characters that a URL can't contain are percent-encoded. A valid URL is unchanged, so encoding twice is safe."""
    assert image_url(address) == url
    assert image_url(url) == url
