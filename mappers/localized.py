"""Text: what counts as text, and which language of it is taken."""

from collections.abc import Iterator, Mapping
from functools import lru_cache


def text(value: object) -> str | None:
    """Text without blanks around it; None when it is blank, missing or no text."""
    return (value.strip() or None) if isinstance(value, str) else None


def localized(texts: Mapping[str, str] | None, locale: str | None) -> str | None:
    """Text in the preferred locale by the rule of mapping.md; None when every language is blank.

    The locale exactly (`en-US`), else its language (`en`), else another region of that language (`en-GB`), else the
    first one. Case and `_`/`-` do not matter; blank texts are passed over.
    """
    found = localized_with_locale(texts, locale)
    return found[1] if found else None


def localized_with_locale(texts: Mapping[str, str] | None, locale: str | None) -> tuple[str, str] | None:
    """Text by the same rule, with the locale it was found under, spelled as commercetools has it."""
    if texts and locale and text(exactly := texts.get(locale)):
        return locale, str(exactly)
    return next(_candidates(texts, locale), None)


def _candidates(texts: Mapping[str, str] | None, locale: str | None) -> Iterator[tuple[str, str]]:
    """Texts that are not blank, best first."""
    written = [(key, value) for key, value in (texts or {}).items() if text(value)]
    wanted = _normal(locale or "")
    language = wanted.partition("-")[0]
    if language:
        ranks = {wanted: 0, language: 1}
        written.sort(key=lambda entry: ranks.get(_normal(entry[0]), 2 if _language(entry[0]) == language else 3))
    yield from written


@lru_cache(maxsize=1024)
def _normal(locale: str) -> str:
    return locale.strip().replace("_", "-").casefold()


def _language(locale: str) -> str:
    return _normal(locale).partition("-")[0]
