"""Text: stripping it, and choosing a language."""

from collections.abc import Iterator, Mapping
from functools import lru_cache


def text(value: object) -> str | None:
    """Text without surrounding whitespace; None if it is blank, missing or not a string."""
    return (value.strip() or None) if isinstance(value, str) else None


def localized(texts: Mapping[str, str] | None, locale: str | None) -> str | None:
    """Text in the preferred locale; None if it is blank in every language.

    The locale itself (`en-US`), else its language (`en`), else another region of that language (`en-GB`), else the
    first text. Case and `_` or `-` make no difference. Blank texts are skipped. docs/mapping.md states this rule.
    """
    match = localized_with_locale(texts, locale)
    return match[1] if match else None


def localized_with_locale(texts: Mapping[str, str] | None, locale: str | None) -> tuple[str, str] | None:
    """The locale of the chosen text, spelled as in commercetools, and the text. Same rule as `localized`."""
    if texts and locale and text(exact := texts.get(locale)):
        return locale, str(exact)
    return next(_candidates(texts, locale), None)


def _candidates(texts: Mapping[str, str] | None, locale: str | None) -> Iterator[tuple[str, str]]:
    """Locales and their texts, the best match first, without blank texts."""
    candidates = [(key, value) for key, value in (texts or {}).items() if text(value)]
    preferred = _normalized(locale or "")
    language = preferred.partition("-")[0]
    if language:
        ranks = {preferred: 0, language: 1}
        candidates.sort(key=lambda entry: ranks.get(_normalized(entry[0]), 2 if _language(entry[0]) == language else 3))
    yield from candidates


@lru_cache(maxsize=1024)
def _normalized(locale: str) -> str:
    return locale.strip().replace("_", "-").casefold()


def _language(locale: str) -> str:
    return _normalized(locale).partition("-")[0]
